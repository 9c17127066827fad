//! Reading rows by the names of their columns.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Decimal32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampNanosecondType, UInt64Type,
};

/// Rows of a table in its row schema, as collectors hand them over.
#[derive(Clone, Copy)]
pub struct Cells<'a>(pub &'a RecordBatch);

impl<'a> Cells<'a> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.0.num_rows()
    }

    /// Times, nanoseconds UTC.
    pub fn ts(&self) -> &'a [i64] {
        self.0.column(0).as_primitive::<TimestampNanosecondType>().values()
    }

    /// A text; `None` where it is null or there is no such column.
    pub fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        let column: &StringArray = self.0.column_by_name(name)?.as_string_opt()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// True or false; `None` where it is null or there is no such column.
    pub fn flag(&self, name: &str, row: usize) -> Option<bool> {
        let column: &BooleanArray = self.0.column_by_name(name)?.as_boolean_opt()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// A 64-bit integer; `None` where it is null or there is no such column.
    pub fn int(&self, name: &str, row: usize) -> Option<i64> {
        let column = self.0.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// A column of 64-bit integers, and which of them are not null; `None` where there is no such column.
    pub fn numbers(&self, name: &str) -> Option<(&'a [i64], Option<&'a NullBuffer>)> {
        let column = self.0.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        Some((column.values(), column.nulls()))
    }

    /// The unscaled integer of a decimal, such as milliwatts; `None` where it is null or there is no such column.
    pub fn unscaled(&self, name: &str, row: usize) -> Option<i32> {
        let column = self.0.column_by_name(name)?.as_primitive_opt::<Decimal32Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// A number of any type; NaN where it is null or there is no such column.
    pub fn number(&self, name: &str, row: usize) -> f64 {
        self.0.column_by_name(name).map_or(f64::NAN, |column| number(column, row))
    }
}

fn number(column: &dyn Array, row: usize) -> f64 {
    if column.is_null(row) {
        return f64::NAN;
    }
    match column.data_type() {
        DataType::Decimal32(_, scale) => {
            let unscaled = f64::from(column.as_primitive::<Decimal32Type>().value(row));
            unscaled / 10f64.powi(i32::from(*scale))
        }
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row),
        DataType::Float32 => shortest(column.as_primitive::<Float32Type>().value(row)),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row) as f64,
        DataType::Int32 => f64::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int16 => f64::from(column.as_primitive::<Int16Type>().value(row)),
        _ => f64::NAN,
    }
}

/// The double that reads like the float: 12.3, not 12.300000190734863.
fn shortest(value: f32) -> f64 {
    ryu::Buffer::new().format(value).parse().unwrap_or(f64::NAN)
}
