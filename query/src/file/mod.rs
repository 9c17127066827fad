//! Foreign files as tables: Parquet and CSV, in the order that they have.

mod damaged;
mod order;
mod sorted;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use damaged::name_file;
pub use table::{FileOrder, FileTable};
