//! Keys of a batch, as the kernels take them.

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use bl_align::as_of::NO_KEY;
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

/// Numbers the values of the key columns, equal for equal values on either side.
#[derive(Debug)]
pub(crate) struct Keys {
    converter: RowConverter,
    numbers: HashMap<OwnedRow, u32>,
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
        let columns = evaluated(exprs, batch)?;
        let nulls = columns.iter().fold(None, |nulls, column| {
            NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
        });
        self.numbers(&columns, nulls.as_ref())
    }

    /// The same for groups, where a null is a value like any other.
    pub(crate) fn group(
        &mut self,
        exprs: &[Arc<dyn PhysicalExpr>],
        batch: &RecordBatch,
    ) -> Result<Vec<u32>> {
        self.numbers(&evaluated(exprs, batch)?, None)
    }

    fn numbers(&mut self, columns: &[ArrayRef], nulls: Option<&NullBuffer>) -> Result<Vec<u32>> {
        let rows = self.converter.convert_columns(columns)?;
        let mut last = None;
        let mut numbers = Vec::with_capacity(rows.num_rows());
        for (i, row) in rows.iter().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(i)) {
                numbers.push(NO_KEY);
                continue;
            }
            let number = match last {
                Some((previous, number)) if previous == row => number,
                _ => {
                    let next = self.numbers.len() as u32;
                    *self.numbers.entry(row.owned()).or_insert(next)
                }
            };
            last = Some((row, number));
            numbers.push(number);
        }
        Ok(numbers)
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
