//! Rows at rest: from what a collector handed over to what a sealed file holds.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array,
    cast::AsArray, new_null_array, types::TimestampNanosecondType,
};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use bl_schemas::{Column, Table};

use crate::error::{Result, StoreError};

/// What `session` and `node` are in every row of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The session.
    pub session: String,
    /// The host.
    pub node: String,
}

/// Brings batches in (any version of) the table's row schema into its schema at rest, as one batch sorted by
/// `ts`; rows of equal `ts` keep their order.
///
/// # Errors
/// When a column cannot be cast to its type.
pub fn at_rest(table: &Table, origin: &Origin, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let complete: Vec<_> =
        batches.iter().map(|b| complete(table, origin, b)).collect::<Result<_>>()?;
    let all = concat_batches(&table.schema(), &complete)
        .map_err(|e| StoreError::arrow(format!("joining batches of {}", table.name), e))?;
    sorted(table, all)
}

fn complete(table: &Table, origin: &Origin, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = table
        .columns
        .iter()
        .map(|c| match c.name.as_str() {
            "session" => Ok(constant(&origin.session, batch.num_rows())),
            "node" => Ok(constant(&origin.node, batch.num_rows())),
            _ => column(table, c, batch),
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    RecordBatch::try_new(table.schema(), columns)
        .map_err(|e| StoreError::arrow(format!("rows of {}", table.name), e))
}

/// One column of the batch in its type at rest; null where an older writer did not know it.
fn column(table: &Table, column: &Column, batch: &RecordBatch) -> Result<ArrayRef> {
    let want = column.kind.arrow_type();
    match batch.column_by_name(&column.name) {
        None => Ok(new_null_array(&want, batch.num_rows())),
        Some(array) if array.data_type() == &want => Ok(array.clone()),
        Some(array) => arrow_cast::cast(array, &want)
            .map_err(|e| StoreError::arrow(format!("{}.{}", table.name, column.name), e)),
    }
}

fn constant(value: &str, rows: usize) -> ArrayRef {
    let keys = Int32Array::from(vec![0; rows]);
    let values = Arc::new(StringArray::from(vec![value]));
    // Key 0 is within a dictionary of one value.
    Arc::new(unsafe { DictionaryArray::<Int32Type>::new_unchecked(keys, values) })
}

fn sorted(table: &Table, batch: RecordBatch) -> Result<RecordBatch> {
    let ts = batch.column(0).as_primitive::<TimestampNanosecondType>().values();
    if ts.is_sorted() {
        return Ok(batch);
    }
    let mut order: Vec<u32> = (0..ts.len() as u32).collect();
    order.sort_by_key(|i| ts[*i as usize]);
    take_record_batch(&batch, &UInt32Array::from(order))
        .map_err(|e| StoreError::arrow(format!("sorting {}", table.name), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;

    #[test]
    fn rows_at_rest_are_complete_and_sorted() {
        let table = bl_schemas::table("pipeline").unwrap();
        let mut rows = Rows::new(table);
        let (stage, frame) = (rows.column("stage"), rows.column("frame"));
        for (i, ts) in [30, 10, 20, 10].into_iter().enumerate() {
            rows.begin(ts, "t");
            rows.str(stage, if i % 2 == 0 { "a" } else { "b" });
            rows.i64(frame, i as i64);
        }
        let origin = Origin { session: "s".into(), node: "n".into() };
        let first = rows.finish();
        let known = ["ts", "source", "stage", "frame"];
        let known = known.map(|name| first.schema().index_of(name).unwrap());
        let out = at_rest(table, &origin, &[first.project(&known).unwrap(), first]).unwrap();
        assert_eq!(out.schema(), table.schema());
        let frames: Vec<_> =
            out["frame"].as_primitive::<arrow_array::types::Int64Type>().iter().collect();
        assert_eq!(frames, [1, 3, 1, 3, 2, 2, 0, 0].map(Some));
        assert_eq!(out["attrs"].null_count(), 8);
        let session = out["session"].as_dictionary::<Int32Type>();
        assert!(
            session.downcast_dict::<StringArray>().unwrap().into_iter().all(|s| s == Some("s"))
        );
    }
}
