//! Answers as tables: one file a format, behind one small trait.
//!
//! A new format is a file that implements `RowWriter`, and one line in [`FORMATS`].

mod arrow;
mod csv;
mod json;
mod parquet;
mod text;

use std::io::{self, BufWriter, Write};
use std::path::Path;

use ::arrow::array::RecordBatch;
use ::arrow::datatypes::SchemaRef;
use ::arrow::error::ArrowError;
use ::parquet::errors::ParquetError;
use bl_query::{Answer, QueryError};
use tokio::sync::mpsc;

use crate::StagedFile;

/// Batches that wait for the writer of a file.
const QUEUE_BATCHES: usize = 1;

/// Where bytes go.
type Out<'w> = Box<dyn Write + Send + 'w>;

/// Writes the batches of one answer as they come.
trait RowWriter {
    /// Writes one batch.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError>;

    /// Ends the answer.
    fn finish(self: Box<Self>) -> Result<(), TableError>;
}

type Begin = for<'w> fn(Out<'w>, &SchemaRef) -> Result<Box<dyn RowWriter + 'w>, TableError>;

/// How a table is written.
#[derive(Debug)]
pub struct TableFormat {
    /// What a person calls it.
    pub name: &'static str,
    /// Endings of its files, without the dot.
    pub endings: &'static [&'static str],
    /// Whether its bytes make sense on standard output.
    pub is_stream: bool,
    /// Begins an answer of that schema.
    begin: Begin,
}

/// All formats.
pub const FORMATS: &[TableFormat] =
    &[text::TEXT, csv::CSV, json::JSON, json::NDJSON, arrow::ARROW, parquet::PARQUET];

/// Why an answer was not written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be computed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Where it goes takes nothing more.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// It cannot be put into that form.
    #[error("the answer cannot be written: {0}")]
    Arrow(ArrowError),
    /// It cannot be put into a Parquet file.
    #[error("the answer cannot be written: {0}")]
    Parquet(ParquetError),
    /// The thread that writes it died.
    #[error("the answer cannot be written: {0}")]
    Writer(String),
}

impl From<ArrowError> for TableError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => Self::Write(error),
            // These two keep nothing but the text of what went wrong below them.
            ArrowError::CsvError(text) | ArrowError::JsonError(text)
                if text.contains("Broken pipe") =>
            {
                Self::Write(io::Error::new(io::ErrorKind::BrokenPipe, text))
            }
            error => Self::Arrow(error),
        }
    }
}

impl From<ParquetError> for TableError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}

impl TableFormat {
    /// The format of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// The format that the name of a file tells.
    pub fn of_file(path: &Path) -> Option<&'static Self> {
        let ending = path.extension()?.to_str()?;
        FORMATS.iter().find(|format| format.endings.contains(&ending))
    }

    /// Runs a statement and writes its rows to `out` as they come.
    ///
    /// # Errors
    /// When it cannot be run, or `out` takes nothing.
    pub async fn write(&self, answer: Answer, out: impl Write + Send) -> Result<(), TableError> {
        let mut writer = (self.begin)(Box::new(BufWriter::new(out)), &answer.schema())?;
        let mut batches = answer.stream().await?;
        while let Some(batch) = batches.next().await {
            writer.write(&batch?)?;
        }
        writer.finish()
    }

    /// Runs a statement and writes its rows, in the order in which they come, into a file that appears complete or not at
    /// all. Returns how many they were.
    ///
    /// # Errors
    /// When it cannot be run, or the file cannot be written.
    pub async fn write_file(&self, answer: Answer, path: &Path) -> Result<u64, TableError> {
        let (begin, schema) = (self.begin, answer.schema());
        let mut staged = StagedFile::create(path)?;
        let (queue, mut waiting) = mpsc::channel::<RecordBatch>(QUEUE_BATCHES);
        // A thread of its own, so that compression runs beside the operators.
        let writer =
            tokio::task::spawn_blocking(move || -> Result<(u64, StagedFile), TableError> {
                let mut rows = 0;
                let mut writer = begin(Box::new(BufWriter::new(&mut staged)), &schema)?;
                while let Some(batch) = waiting.blocking_recv() {
                    rows += batch.num_rows() as u64;
                    writer.write(&batch)?;
                }
                writer.finish()?;
                Ok((rows, staged))
            });
        let computed = compute(answer, queue).await;
        let written = writer.await.map_err(|error| TableError::Writer(error.to_string()))?;
        computed?;
        let (rows, staged) = written?;
        staged.appear()?;
        Ok(rows)
    }
}

/// Runs a statement, and hands its batches on as long as they are taken: a writer that failed tells itself why.
async fn compute(answer: Answer, queue: mpsc::Sender<RecordBatch>) -> Result<(), QueryError> {
    let mut batches = answer.stream().await?;
    while let Some(batch) = batches.next().await {
        if queue.send(batch?).await.is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
