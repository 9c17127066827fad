//! The DataFusion session over the store, with the alignment kernels as operators.

pub mod asof;
mod columns;
mod error;
pub mod file;
pub mod output;
mod session;
mod sorted;

pub use error::QueryError;
pub use session::{Query, Settings};
