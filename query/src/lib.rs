//! The DataFusion session over the store, with the alignment kernels as operators.

pub mod asof;
mod error;
pub mod file;
pub mod output;
mod session;

pub use error::QueryError;
pub use session::{Query, Settings};
