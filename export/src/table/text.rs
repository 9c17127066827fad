//! A table for a person. It is held in memory until it is complete.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;

use super::{Out, RowWriter, TableError, TableFormat};

pub(super) const TEXT: TableFormat = TableFormat {
    name: "table",
    endings: &["txt"],
    is_stream: true,
    begin: |out, schema| Ok(Box::new(Text { out, schema: schema.clone(), batches: Vec::new() })),
};

struct Text<'w> {
    out: Out<'w>,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl RowWriter for Text<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        self.batches.push(batch.clone());
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), TableError> {
        if self.batches.is_empty() {
            self.batches.push(RecordBatch::new_empty(self.schema));
        }
        let options = FormatOptions::default().with_null("null");
        let table = pretty_format_batches_with_options(&self.batches, &options)?;
        writeln!(self.out, "{table}")?;
        Ok(self.out.flush()?)
    }
}
