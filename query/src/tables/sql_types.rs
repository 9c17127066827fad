//! Types at rest and types in SQL.

use std::sync::Arc;

use bl_schemas::{Kind, Table};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;

/// The schema that SQL sees of a table: as at rest, but with 64-bit floats in place of decimals, so that
/// arithmetic, averages and correlations are plain. A decimal of nine digits fits a float exactly enough that it
/// prints as the same digits.
pub fn sql_schema(table: &Table) -> SchemaRef {
    let at_rest = table.schema();
    let fields =
        at_rest.fields().iter().zip(&table.columns).map(|(field, column)| match column.kind {
            Kind::Decimal { .. } => {
                Arc::new(Field::new(field.name(), DataType::Float64, field.is_nullable()))
            }
            _ => Arc::clone(field),
        });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows at rest as SQL sees them.
pub(crate) fn to_sql(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(array, field)| match array.data_type() {
            same if same == field.data_type() => Ok(Arc::clone(array)),
            _ => cast(array, field.data_type()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
