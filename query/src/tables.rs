//! The store's tables in SQL.

mod catalog;
mod files;
mod latency;
mod prune;
mod ranges;
mod raw;
mod scan;
mod sessions;
mod sql_types;

pub use catalog::{SessionFilter, StoreTables};
pub use sql_types::sql_schema;
pub(crate) use sql_types::to_sql;
