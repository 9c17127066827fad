//! Results of queries as text, as Arrow and as files.

mod format;
mod parquet;

pub use format::{TextFormat, TextWriter};
pub use parquet::{Written, write_parquet};
