//! What counts as a stamp: a column of time whose values are whole numbers of nanoseconds.
//!
//! Pairing, as-of joins, energy and lag all take their stamps through here: a type is converted exactly, or it is
//! refused by the column's name.

use std::fmt::Display;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::buffer::{NullBuffer, ScalarBuffer};
use datafusion::arrow::compute::kernels::cast::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::{DFSchema, Result, exec_err, plan_err};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;

/// Nanoseconds in one unit of a stamp of this type: a TIMESTAMP, DATE, TIME or DURATION of any unit, or a whole number,
/// which counts nanoseconds. None where the type is no stamp.
pub(crate) fn unit_ns(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp(unit, _)
        | DataType::Duration(unit)
        | DataType::Time32(unit)
        | DataType::Time64(unit) => Some(nanoseconds_in(*unit)),
        DataType::Date32 => Some(86_400_000_000_000),
        DataType::Date64 => Some(1_000_000),
        whole if whole.is_integer() => Some(1),
        _ => None,
    }
}

/// Nanoseconds in a unit of time.
pub(crate) fn nanoseconds_in(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The type of a stamp.
///
/// # Errors
/// When it is none: the sentence names the column, its type, and what to write instead.
pub(crate) fn stamp_type(stamp: &Expr, schema: &DFSchema) -> Result<DataType> {
    let data_type = stamp.get_type(schema)?;
    if unit_ns(&data_type).is_some() {
        return Ok(data_type);
    }
    let name = name_of(stamp);
    let hint = match &data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            format!("write to_timestamp_nanos({name})")
        }
        float if float.is_floating() => {
            format!("write CAST(round({name} * 1e9) AS BIGINT) if it counts seconds")
        }
        decimal if decimal.is_decimal() => {
            format!("write CAST({name} * 1000000000 AS BIGINT) if it counts seconds")
        }
        _ => "name another column or cast it".to_owned(),
    };
    plan_err!(
        "{name} is {data_type}: a stamp is a TIMESTAMP, DATE, TIME or DURATION, or a BIGINT of nanoseconds; {hint}"
    )
}

/// Refuses what is no number.
///
/// # Errors
/// When the type is not numeric: the sentence names the column, its type, and what it is meant to be.
pub(crate) fn require_number(value: &Expr, schema: &DFSchema, meaning: &str) -> Result<()> {
    let data_type = value.get_type(schema)?;
    if data_type.is_numeric() || data_type.is_null() {
        return Ok(());
    }
    let name = name_of(value);
    plan_err!("{name} is {data_type}: {meaning} must be a number; write CAST({name} AS DOUBLE)")
}

/// What a person calls an expression: a column by its name alone.
pub(crate) fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        other => other.to_string(),
    }
}

/// A stamp as an expression of BIGINT nanoseconds.
///
/// # Errors
/// As [`stamp_type`].
pub(crate) fn nanoseconds_of(stamp: Expr, schema: &DFSchema) -> Result<Expr> {
    let in_ns = match stamp_type(&stamp, schema)? {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Nanosecond, zone),
        DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Nanosecond),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
        DataType::Int64 => return Ok(stamp),
        _ => return Ok(cast(stamp, DataType::Int64)),
    };
    Ok(cast(cast(stamp, in_ns), DataType::Int64))
}

/// The stamps of a batch in nanoseconds, and which of them are not null.
///
/// # Errors
/// When one is beyond what 64 bits of nanoseconds count, or the type is no stamp.
pub(crate) fn nanoseconds(
    stamp: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
) -> Result<(ScalarBuffer<i64>, Option<NullBuffer>)> {
    let array = stamp.evaluate(batch)?.into_array(batch.num_rows())?;
    let array = array_nanoseconds(stamp, &array)?;
    let valid = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    Ok((array.values().clone(), valid))
}

/// The same for stamps that are there already; `name` is what a person calls them.
pub(crate) fn array_nanoseconds(name: impl Display, array: &ArrayRef) -> Result<Int64Array> {
    match converted(array) {
        Ok(array) => Ok(array),
        Err(Refused::Type) => exec_err!("{name} is {}: no stamp", array.data_type()),
        Err(Refused::Value(value)) => exec_err!(
            "{name} holds {value}, which nanoseconds do not reach: they count from 1677-09-21 to 2262-04-11"
        ),
    }
}

#[derive(Debug, PartialEq)]
enum Refused {
    Type,
    /// As it is shown.
    Value(String),
}

/// Stamps in nanoseconds. Without a copy where they are 64 bits of nanoseconds already.
fn converted(array: &ArrayRef) -> Result<Int64Array, Refused> {
    let unit = unit_ns(array.data_type()).ok_or(Refused::Type)?;
    let shown = |row: Option<usize>| {
        let value = row.and_then(|row| array_value_to_string(array, row).ok());
        Refused::Value(value.unwrap_or_else(|| "a stamp".to_owned()))
    };
    // A number that does not fit is an error, not a null.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let counts = match cast_with_options(array, &DataType::Int64, &options) {
        Ok(counts) => counts.as_primitive::<Int64Type>().clone(),
        Err(_) => {
            let known = cast_with_options(array, &DataType::Int64, &CastOptions::default());
            let lost = |row: &usize| {
                known.as_ref().is_ok_and(|known| known.is_null(*row) && !array.is_null(*row))
            };
            return Err(shown((0..array.len()).find(lost)));
        }
    };
    if unit == 1 {
        return Ok(counts);
    }
    counts.try_unary(|count| count.checked_mul(unit).ok_or(())).map_err(|()| {
        let is_beyond =
            |row: &usize| counts.is_valid(*row) && counts.value(*row).checked_mul(unit).is_none();
        shown((0..counts.len()).find(is_beyond))
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        Date32Array, Date64Array, DurationMillisecondArray, Float64Array, Time32SecondArray,
        TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
    };

    use super::*;

    fn ns(array: impl Array + 'static) -> Result<Vec<Option<i64>>, Refused> {
        converted(&(Arc::new(array) as ArrayRef)).map(|array| array.iter().collect())
    }

    #[test]
    fn every_unit_is_converted_exactly() {
        assert_eq!(ns(Int64Array::from(vec![Some(7), None])), Ok(vec![Some(7), None]));
        assert_eq!(ns(UInt64Array::from(vec![7])), Ok(vec![Some(7)]));
        assert_eq!(
            ns(TimestampMicrosecondArray::from(vec![Some(-3), None])),
            Ok(vec![Some(-3_000), None])
        );
        assert_eq!(ns(Date32Array::from(vec![1])), Ok(vec![Some(86_400_000_000_000)]));
        assert_eq!(ns(Date64Array::from(vec![5])), Ok(vec![Some(5_000_000)]));
        assert_eq!(ns(DurationMillisecondArray::from(vec![5])), Ok(vec![Some(5_000_000)]));
        assert_eq!(ns(Time32SecondArray::from(vec![2])), Ok(vec![Some(2_000_000_000)]));
    }

    #[test]
    fn what_does_not_fit_is_told_and_null_is_not_looked_at() {
        let value = |text: &str| Err(Refused::Value(text.to_owned()));
        assert_eq!(ns(UInt64Array::from(vec![1, u64::MAX])), value("18446744073709551615"));
        let far = TimestampSecondArray::from(vec![Some(0), None, Some(253_402_300_799)]);
        assert_eq!(ns(far), value("9999-12-31T23:59:59"));
        // Beneath a null may lie anything.
        let nulls = NullBuffer::from(vec![true, false]);
        let hidden = TimestampSecondArray::new(vec![1, i64::MAX].into(), Some(nulls));
        assert_eq!(ns(hidden), Ok(vec![Some(1_000_000_000), None]));
        assert_eq!(ns(Float64Array::from(vec![1.5])), Err(Refused::Type));
    }
}
