//! Clocks of several nodes: `clock_fit` lays a line through what table `clock` says, `on_clock` puts stamps on it.

mod fit;
mod on_clock;
#[cfg(test)]
mod tests;

use datafusion::arrow::datatypes::{DataType, Field, Fields};

pub(crate) use fit::clock_fit;
pub(crate) use on_clock::on_clock;

/// A clock as a line over the stamps of a session, and how well it is known: the value of `clock_fit`.
fn fields() -> Fields {
    Fields::from(vec![
        Field::new("at_ns", DataType::Int64, true),
        Field::new("offset_ns", DataType::Float64, true),
        Field::new("drift_ppm", DataType::Float64, true),
        Field::new("err_ns", DataType::Float64, true),
        Field::new("readings", DataType::Int64, true),
        Field::new("steps", DataType::Int64, true),
    ])
}
