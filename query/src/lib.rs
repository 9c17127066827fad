//! The DataFusion session over the store, with the alignment kernels as operators.

mod advice;
mod answer;
pub mod asof;
mod columns;
mod error;
pub mod file;
pub mod jobs;
pub mod latency;
pub mod output;
mod session;
mod sorted;
pub mod tables;

pub use answer::{Answer, Batches};
pub use datafusion::error::DataFusionError;
pub use error::QueryError;
pub use file::FileTable;
pub use session::{Query, Settings};
