//! Comma-separated values with a heading.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::csv::{Writer, WriterBuilder};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{Out, RowWriter, TableError, TableFormat};

pub(super) const CSV: TableFormat = TableFormat {
    name: "csv",
    endings: &["csv"],
    is_stream: true,
    begin: |out, schema| {
        let mut writer = WriterBuilder::new().with_header(true).build(out);
        // The heading, also of an answer without rows.
        writer.write(&flat(&RecordBatch::new_empty(schema.clone()))?)?;
        Ok(Box::new(Csv(writer)))
    },
};

struct Csv<'w>(Writer<Out<'w>>);

impl RowWriter for Csv<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        Ok(self.0.write(&flat(batch)?)?)
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        Ok(self.0.into_inner().flush()?)
    }
}

/// CSV has no lists: they and their like are written as texts, as a table shows them.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.schema_ref().fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let options = FormatOptions::default();
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
        if !field.data_type().is_nested() {
            return Ok((field.name(), Arc::clone(column)));
        }
        let shown = ArrayFormatter::try_new(column, &options)?;
        let text = |row| column.is_valid(row).then(|| shown.value(row).to_string());
        let texts: StringArray = (0..column.len()).map(text).collect();
        Ok((field.name(), Arc::new(texts) as ArrayRef))
    });
    RecordBatch::try_from_iter(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}
