//! Keys of a batch, as the kernels take them.

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use bl_align::as_of::NO_KEY;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

/// Numbers the values of the key columns, equal for equal values on either side.
#[derive(Debug)]
pub(crate) struct Keys {
    converter: RowConverter,
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Keys {
    pub(crate) fn try_new(types: Vec<DataType>) -> Result<Self> {
        let fields = types.into_iter().map(SortField::new).collect();
        Ok(Keys { converter: RowConverter::new(fields)?, numbers: HashMap::new() })
    }

    /// The number of each row's key; [`NO_KEY`] where a part of it is null.
    pub(crate) fn number(
        &mut self,
        exprs: &[Arc<dyn PhysicalExpr>],
        batch: &RecordBatch,
    ) -> Result<Vec<u32>> {
        self.numbers(&evaluated(exprs, batch)?, missing)
    }

    /// The same for groups, where a null is a value like any other.
    pub(crate) fn group(
        &mut self,
        exprs: &[Arc<dyn PhysicalExpr>],
        batch: &RecordBatch,
    ) -> Result<Vec<u32>> {
        self.numbers(&evaluated(exprs, batch)?, |_| None)
    }

    fn numbers(&mut self, columns: &[ArrayRef], nulls: Nulls) -> Result<Vec<u32>> {
        // Words of a dictionary are few: each combination of them is numbered once a batch.
        let Some(words) = Words::of(columns) else { return self.of_rows(columns, nulls) };
        let first = UInt32Array::from(words.first_rows);
        let first = columns.iter().map(|column| take(column, &first, None));
        let numbers = self.of_rows(&first.collect::<Result<Vec<_>, _>>()?, nulls)?;
        Ok(words.of_row.into_iter().map(|word| numbers[word as usize]).collect())
    }

    fn of_rows(&mut self, columns: &[ArrayRef], nulls: Nulls) -> Result<Vec<u32>> {
        let nulls = nulls(columns);
        let rows = self.converter.convert_columns(columns)?;
        let mut last = None;
        let mut numbers = Vec::with_capacity(rows.num_rows());
        for (i, row) in rows.iter().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(i)) {
                numbers.push(NO_KEY);
                continue;
            }
            let number = match last {
                Some((previous, number)) if previous == row => number,
                _ => self.of_key(row.as_ref()),
            };
            last = Some((row, number));
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn of_key(&mut self, key: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(key.into(), number);
        number
    }
}

/// Which rows have no key.
type Nulls = fn(&[ArrayRef]) -> Option<NullBuffer>;

/// Rows of which a part is null.
fn missing(columns: &[ArrayRef]) -> Option<NullBuffer> {
    columns.iter().fold(None, |nulls, column| {
        NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
    })
}

/// Combinations of dictionary words, at most.
const MOST_WORDS: usize = 65_536;

/// The combinations of words that rows of dictionary columns have.
struct Words {
    /// The number of each row's, as they come in the batch.
    of_row: Vec<u32>,
    /// The first row of each.
    first_rows: Vec<u32>,
}

impl Words {
    /// None where a column is no dictionary, or there are more combinations than rows are worth.
    fn of(columns: &[ArrayRef]) -> Option<Self> {
        let columns = columns.iter().map(|column| column.as_any_dictionary_opt());
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let mut places = vec![0_usize; columns.first()?.len()];
        let mut combinations = 1_usize;
        for column in columns {
            // The last place is that of null.
            let words = column.values().len();
            combinations = combinations.checked_mul(words + 1).filter(|all| *all <= MOST_WORDS)?;
            let keys = match words {
                0 => vec![0; places.len()],
                _ => column.normalized_keys(),
            };
            let nulls = column.keys().nulls();
            for (row, (place, key)) in places.iter_mut().zip(keys).enumerate() {
                let is_null = nulls.is_some_and(|nulls| nulls.is_null(row));
                *place = *place * (words + 1) + if is_null { words } else { key };
            }
        }
        let mut numbers = vec![u32::MAX; combinations];
        let mut first_rows = Vec::new();
        let of_row = places.into_iter().enumerate().map(|(row, place)| {
            if numbers[place] == u32::MAX {
                numbers[place] = first_rows.len() as u32;
                first_rows.push(row as u32);
            }
            numbers[place]
        });
        Some(Self { of_row: of_row.collect(), first_rows })
    }
}

fn evaluated(exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    exprs.iter().map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

/// The rows that have a stamp and a key, where some have not.
pub(crate) fn usable(valid: Option<&NullBuffer>, keys: Option<&[u32]>) -> Option<BooleanArray> {
    let has_key = keys
        .filter(|keys| keys.contains(&NO_KEY))
        .map(|keys| keys.iter().map(|key| *key != NO_KEY).collect::<BooleanBuffer>());
    let usable = match (valid.map(|valid| valid.inner()), has_key) {
        (Some(valid), Some(has_key)) => valid & &has_key,
        (Some(valid), None) => valid.clone(),
        (None, Some(has_key)) => has_key,
        (None, None) => return None,
    };
    Some(BooleanArray::new(usable, None))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::DictionaryArray;
    use datafusion::arrow::array::{Int32Array, StringArray};
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::Int32Type;
    use proptest::prelude::*;

    use super::*;

    type Drawn = Option<u8>;

    /// Rows of two columns of words, as dictionaries with a word twice and a null among the words.
    fn dictionaries(rows: &[(Drawn, Drawn)]) -> Vec<ArrayRef> {
        let words: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("a"), None, Some("c")]));
        let column = |of: fn(&(Drawn, Drawn)) -> Drawn| {
            let keys: Int32Array = rows.iter().map(|row| of(row).map(i32::from)).collect();
            let column = DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&words)).unwrap();
            Arc::new(column) as ArrayRef
        };
        vec![column(|row| row.0), column(|row| row.1)]
    }

    proptest! {
        #[test]
        fn keys_are_numbered_alike_as_words_and_as_rows(
            batches in proptest::collection::vec(
                proptest::collection::vec(
                    (proptest::option::of(0..5_u8), proptest::option::of(0..5_u8)),
                    0..40,
                ),
                1..4,
            ),
        ) {
            let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let mut by_words = Keys::try_new(vec![words.clone(), words]).unwrap();
            let mut by_rows = Keys::try_new(vec![DataType::Utf8, DataType::Utf8]).unwrap();
            for rows in batches {
                let columns = dictionaries(&rows);
                let plain: Vec<ArrayRef> =
                    columns.iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
                prop_assert_eq!(
                    by_words.numbers(&columns, missing).unwrap(),
                    by_rows.numbers(&plain, missing).unwrap()
                );
            }
        }
    }
}
