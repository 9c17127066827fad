//! Results as text and as Arrow, batch by batch as they come.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::arrow;
use datafusion::arrow::csv::WriterBuilder as CsvBuilder;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::json::WriterBuilder as JsonBuilder;
use datafusion::arrow::json::writer::{JsonArray, LineDelimited, Writer as JsonWriter};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::error::{DataFusionError, Result};

/// A form in which a result is written to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// A table for a person; it is held in memory until it is complete.
    Table,
    /// Comma-separated values with a heading.
    Csv,
    /// One JSON array of objects; a missing value is null.
    Json,
    /// One JSON object a line; a missing value is null.
    Ndjson,
    /// An Arrow IPC stream.
    Arrow,
}

/// Writes the batches of one result.
pub struct TextWriter<W: Write>(Form<W>);

enum Form<W: Write> {
    Table { out: W, schema: SchemaRef, batches: Vec<RecordBatch> },
    Csv(Box<arrow::csv::Writer<W>>),
    Json(Box<JsonWriter<W, JsonArray>>),
    Ndjson(Box<JsonWriter<W, LineDelimited>>),
    Arrow(Box<StreamWriter<W>>),
}

impl<W: Write> TextWriter<W> {
    /// Begins a result of that schema.
    ///
    /// # Errors
    /// When `out` takes nothing.
    pub fn new(format: TextFormat, out: W, schema: &SchemaRef) -> Result<Self> {
        let json = || JsonBuilder::new().with_explicit_nulls(true);
        Ok(Self(match format {
            TextFormat::Table => {
                Form::Table { out, schema: SchemaRef::clone(schema), batches: Vec::new() }
            }
            TextFormat::Csv => {
                let mut writer = CsvBuilder::new().with_header(true).build(out);
                // The heading, also of a result without rows.
                writer.write(&flat(&RecordBatch::new_empty(SchemaRef::clone(schema)))?)?;
                Form::Csv(Box::new(writer))
            }
            TextFormat::Json => Form::Json(Box::new(json().build(out))),
            TextFormat::Ndjson => Form::Ndjson(Box::new(json().build(out))),
            TextFormat::Arrow => Form::Arrow(Box::new(StreamWriter::try_new(out, schema)?)),
        }))
    }

    /// Writes one batch.
    ///
    /// # Errors
    /// When `out` takes nothing.
    pub fn write(&mut self, batch: RecordBatch) -> Result<()> {
        match &mut self.0 {
            Form::Table { batches, .. } => batches.push(batch),
            Form::Csv(w) => w.write(&flat(&batch)?)?,
            Form::Json(w) => w.write(&batch)?,
            Form::Ndjson(w) => w.write(&batch)?,
            Form::Arrow(w) => w.write(&batch)?,
        }
        Ok(())
    }

    /// Ends the result.
    ///
    /// # Errors
    /// When `out` takes nothing.
    pub fn finish(self) -> Result<()> {
        match self.0 {
            Form::Table { mut out, schema, mut batches } => {
                if batches.is_empty() {
                    batches.push(RecordBatch::new_empty(schema));
                }
                let options = FormatOptions::default().with_null("null");
                let table = pretty_format_batches_with_options(&batches, &options)?;
                writeln!(out, "{table}").map_err(DataFusionError::from)?;
                out.flush()?;
            }
            Form::Csv(w) => w.into_inner().flush()?,
            Form::Json(mut w) => {
                w.finish()?;
                let mut out = w.into_inner();
                writeln!(out)?;
                out.flush()?;
            }
            Form::Ndjson(mut w) => {
                w.finish()?;
                w.into_inner().flush()?;
            }
            Form::Arrow(mut w) => {
                w.finish()?;
                w.get_mut().flush()?;
            }
        }
        Ok(())
    }
}

/// CSV has no lists: they and their like are written as texts, as a table shows them.
fn flat(batch: &RecordBatch) -> Result<RecordBatch> {
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
    Ok(RecordBatch::try_from_iter(columns.collect::<Result<Vec<_>>>()?)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::session;

    use super::*;

    #[tokio::test]
    async fn lists_are_texts_in_csv() {
        let query = session(&[]).await;
        let sql = "SELECT value AS n, make_array(value, 0.5) AS list FROM range(1, 3)";
        let batches = query.sql(sql).await.unwrap().collect().await.unwrap();
        let mut out = Vec::new();
        let schema = batches[0].schema();
        let mut writer = TextWriter::new(TextFormat::Csv, &mut out, &schema).unwrap();
        batches.into_iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "n,list\n1,\"[1.0, 0.5]\"\n2,\"[2.0, 0.5]\"\n");
    }
}
