//! Results of queries as files.

mod parquet;

pub use parquet::{Written, write_parquet};
