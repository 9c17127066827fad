//! The keys of frames as numbers, which is what pairing compares.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, PrimitiveArray, RecordBatch, StructArray,
};
use datafusion::arrow::buffer::{NullBuffer, ScalarBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;

use super::pairing::OwnedKeys;
use crate::stamp::name_of;

/// Refuses a key whose values cannot be told to be equal.
///
/// # Errors
/// For floats, and for types that have no order, by the column's name.
pub(super) fn require_key(key: &Expr, schema: &DFSchema) -> Result<()> {
    let data_type = key.get_type(schema)?;
    let name = name_of(key);
    if data_type.is_floating() {
        return plan_err!(
            "{name} is {data_type}: floats are not compared for equality, so it is no key; cast it to BIGINT or to VARCHAR"
        );
    }
    if !RowConverter::supports_fields(&[SortField::new(data_type.clone())]) {
        return plan_err!(
            "{name} is {data_type}, whose values cannot be compared, so it is no key; name another column or cast it"
        );
    }
    Ok(())
}

/// Whether the values of a type are numbers of 64 bits already, which are taken as they are and can be put out again.
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Timestamp(..)
                | DataType::Duration(_)
                | DataType::Time64(_)
                | DataType::Date64
        )
}

/// The key columns of one operator.
pub(super) struct FrameKeys {
    keys: Vec<(Arc<dyn PhysicalExpr>, Option<Numbers>)>,
}

impl FrameKeys {
    /// Keys of these types; events further apart than `window_ns` never pair.
    pub fn try_new(
        keys: &[Arc<dyn PhysicalExpr>],
        types: &[DataType],
        window_ns: i64,
    ) -> Result<Self> {
        let keys = keys.iter().zip(types).map(|(key, data_type)| {
            let numbers = match is_number(data_type) {
                true => None,
                false => Some(Numbers::try_new(data_type.clone(), window_ns)?),
            };
            Ok((Arc::clone(key), numbers))
        });
        Ok(FrameKeys { keys: keys.collect::<Result<_>>()? })
    }

    /// The keys of a batch, whose stamps ascend over all calls.
    pub fn of(&mut self, batch: &RecordBatch, ts_ns: &[i64]) -> Result<Vec<OwnedKeys>> {
        let keys = self.keys.iter_mut().map(|(key, numbers)| {
            let key = key.evaluate(batch)?.into_array(batch.num_rows())?;
            match numbers {
                None => as_it_is(&key),
                Some(numbers) => numbers.of(&key, ts_ns),
            }
        });
        keys.collect()
    }

    /// Memory of what is remembered.
    pub fn bytes(&self) -> usize {
        self.keys.iter().filter_map(|(_, numbers)| numbers.as_ref()).map(Numbers::bytes).sum()
    }
}

/// Numbers as ids; an unsigned one by its bits.
fn as_it_is(key: &ArrayRef) -> Result<OwnedKeys> {
    let nulls = key.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let values = match key.data_type() {
        DataType::UInt64 => {
            let values = key.as_primitive::<UInt64Type>().values();
            ScalarBuffer::new(values.inner().clone(), 0, values.len())
        }
        _ => cast(key, &DataType::Int64)?.as_primitive::<Int64Type>().values().clone(),
    };
    Ok((values, nulls))
}

/// Ids as the numbers that they were.
pub(super) fn from_id(id: &Int64Array, to: &DataType) -> Result<ArrayRef> {
    if *to == DataType::UInt64 {
        let values = id.values();
        let values = ScalarBuffer::<u64>::new(values.inner().clone(), 0, values.len());
        return Ok(Arc::new(PrimitiveArray::<UInt64Type>::new(values, None)));
    }
    Ok(cast(id, to)?)
}

/// Numbers the values of one column: two values have one number if and only if they are equal.
///
/// They are told apart by the whole value and not by a hash of it. A value that did not come for longer than the window
/// may be forgotten: events further apart than that never pair, so that its next number may be another one. What is
/// remembered came within the last two windows.
struct Numbers {
    converter: RowConverter,
    window_ns: i64,
    /// Values that came since `since_ns`, and those that last came in the window before.
    recent: HashMap<Box<[u8]>, i64>,
    before: HashMap<Box<[u8]>, i64>,
    since_ns: Option<i64>,
    next: i64,
}

impl Numbers {
    fn try_new(data_type: DataType, window_ns: i64) -> Result<Self> {
        Ok(Numbers {
            converter: RowConverter::new(vec![SortField::new(data_type)])?,
            window_ns,
            recent: HashMap::new(),
            before: HashMap::new(),
            since_ns: None,
            next: 0,
        })
    }

    fn of(&mut self, key: &ArrayRef, ts_ns: &[i64]) -> Result<OwnedKeys> {
        let nulls = missing(key).filter(|nulls| nulls.null_count() > 0);
        let rows = self.converter.convert_columns(std::slice::from_ref(key))?;
        let numbers = rows.iter().zip(ts_ns).enumerate().map(|(at, (row, ts_ns))| {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(at)) {
                return 0;
            }
            self.number(row.as_ref(), *ts_ns)
        });
        Ok((numbers.collect(), nulls))
    }

    fn number(&mut self, value: &[u8], ts_ns: i64) -> i64 {
        let since_ns = *self.since_ns.get_or_insert(ts_ns);
        if ts_ns.saturating_sub(since_ns) > self.window_ns {
            self.before = std::mem::take(&mut self.recent);
            self.since_ns = Some(ts_ns);
        }
        if let Some(number) = self.recent.get(value) {
            return *number;
        }
        let number = self.before.remove(value).unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.recent.insert(value.into(), number);
        number
    }

    fn bytes(&self) -> usize {
        // A value's bytes lie beside its entry; they are about as long in all of them.
        let entries = self.recent.len() + self.before.len();
        let sample = self.recent.keys().next().map_or(0, |value| value.len());
        let slots = self.recent.capacity() + self.before.capacity();
        slots * (size_of::<(Box<[u8]>, i64)>() + 1) + entries * sample + self.converter.size()
    }
}

/// Where a value is missing: where it is null, or a part of it is.
fn missing(key: &ArrayRef) -> Option<NullBuffer> {
    let own = key.logical_nulls();
    match key.as_any().downcast_ref::<StructArray>() {
        Some(parts) => parts
            .columns()
            .iter()
            .fold(own, |nulls, part| NullBuffer::union(nulls.as_ref(), missing(part).as_ref())),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use datafusion::arrow::array::StringArray;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_values_within_the_window_have_one_number_and_others_never(
            events in proptest::collection::vec((0..40_i64, "[ab]{0,2}"), 1..120),
            window_ns in 0..60_i64,
            piece in 1..9_usize,
        ) {
            let mut at = 0;
            let events: Vec<(i64, String)> =
                events.into_iter().map(|(step, value)| { at += step; (at, value) }).collect();
            let mut numbers = Numbers::try_new(DataType::Utf8, window_ns).unwrap();
            let mut found = Vec::new();
            for events in events.chunks(piece) {
                let ts: Vec<i64> = events.iter().map(|event| event.0).collect();
                let values = StringArray::from_iter_values(events.iter().map(|event| &event.1));
                found.extend(numbers.of(&(Arc::new(values) as ArrayRef), &ts).unwrap().0.to_vec());
                prop_assert!(numbers.recent.len() + numbers.before.len() <= 14);
            }
            let mut last = BTreeMap::new();
            let mut owner = BTreeMap::new();
            for ((ts, value), number) in events.into_iter().zip(found) {
                prop_assert_eq!(owner.entry(number).or_insert(value.clone()), &value);
                if let Some((before, known)) = last.insert(value, (ts, number)) {
                    prop_assert!(ts - before > window_ns || known == number);
                }
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_by_the_window() {
        let mut numbers = Numbers::try_new(DataType::Utf8, 100).unwrap();
        for first in (0..100_000_i64).step_by(1_000) {
            let ts: Vec<i64> = (first..first + 1_000).collect();
            let values = StringArray::from_iter_values(ts.iter().map(|ts| format!("frame {ts}")));
            numbers.of(&(Arc::new(values) as ArrayRef), &ts).unwrap();
        }
        assert!(numbers.recent.len() + numbers.before.len() <= 203);
        assert!(numbers.bytes() < 100_000, "{}", numbers.bytes());
    }
}
