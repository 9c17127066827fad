//! The store's tables in SQL.

mod catalog;
mod files;
mod raw;
mod sessions;
mod sql_types;

pub use catalog::{SessionFilter, StoreTables};
pub use sql_types::sql_schema;
