//! An Arrow IPC stream.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;

use super::{Out, RowWriter, TableError, TableFormat};

pub(super) const ARROW: TableFormat = TableFormat {
    name: "arrow",
    endings: &["arrow", "arrows", "ipc"],
    is_stream: true,
    begin: |out, schema| Ok(Box::new(Arrow(StreamWriter::try_new(out, schema)?))),
};

struct Arrow<'w>(StreamWriter<Out<'w>>);

impl RowWriter for Arrow<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        Ok(self.0.write(batch)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), TableError> {
        self.0.finish()?;
        Ok(self.0.get_mut().flush()?)
    }
}
