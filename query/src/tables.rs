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

use datafusion::catalog::TableProvider;

pub use catalog::{SessionFilter, StoreTables};
pub use sql_types::sql_schema;
pub(crate) use sql_types::to_sql;

/// Whether a table is one of the store, and not a file or a table of a person that stands for it.
pub(crate) fn is_of_store(table: &dyn TableProvider) -> bool {
    table.is::<raw::RawTable>()
        || table.is::<latency::LatencyTable>()
        || table.is::<sessions::SessionsTable>()
}
