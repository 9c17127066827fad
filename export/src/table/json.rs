//! JSON: one array of objects, or one object a line. A missing value is null.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, Writer};

use super::{Out, RowWriter, TableError, TableFormat};

pub(super) const JSON: TableFormat = TableFormat {
    name: "json",
    endings: &["json"],
    is_stream: true,
    begin: |out, _| Ok(Box::new(Json { writer: builder().build::<_, JsonArray>(out), end: "\n" })),
};

pub(super) const NDJSON: TableFormat = TableFormat {
    name: "ndjson",
    endings: &["ndjson", "jsonl"],
    is_stream: true,
    begin: |out, _| {
        Ok(Box::new(Json { writer: builder().build::<_, LineDelimited>(out), end: "" }))
    },
};

fn builder() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true)
}

struct Json<'w, F: JsonFormat> {
    writer: Writer<Out<'w>, F>,
    /// What follows the last row.
    end: &'static str,
}

impl<F: JsonFormat> RowWriter for Json<'_, F> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        Ok(self.writer.write(batch)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), TableError> {
        self.writer.finish()?;
        let mut out = self.writer.into_inner();
        out.write_all(self.end.as_bytes())?;
        Ok(out.flush()?)
    }
}
