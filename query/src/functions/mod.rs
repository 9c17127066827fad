//! What SQL gets besides joins: the table functions `pair`, `energy`, `latency` and `as_of`, and aggregates.

mod arguments;
mod as_of;
mod percentiles;
mod relations;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use percentiles::{aggregates, require_number};
pub(crate) use relations::NameRelations;
pub(crate) use tables::TableFunctions;
