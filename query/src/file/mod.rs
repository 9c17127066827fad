//! Foreign files as tables: Parquet and CSV, in the order that they have.

mod order;
mod sorted;
mod table;
#[cfg(test)]
mod tests;

pub use table::{FileOrder, FileTable};
