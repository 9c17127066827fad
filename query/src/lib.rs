//! The DataFusion session over the store, with the alignment kernels as operators.

mod advice;
mod answer;
pub mod asof;
mod clocks;
mod columns;
pub mod energy;
mod error;
pub mod file;
mod functions;
pub mod jobs;
pub mod latency;
mod operator;
pub mod pair;
mod partitioned;
mod pushdown;
mod read_only;
mod runtime;
mod session;
mod sorted;
mod stamp;
mod statement;
pub mod tables;
#[cfg(test)]
mod testing;

pub use answer::{Answer, Batches};
pub use datafusion::error::DataFusionError;
pub use error::QueryError;
pub use file::FileTable;
pub use read_only::StatementLimits;
pub use runtime::Runtime;
pub use session::{Query, Settings};
