//! Sessions on disk: write-ahead segments, sealed Parquet, recovery and reading.

pub mod clock;
mod rows;

pub use rows::{ColumnIndex, Rows};
