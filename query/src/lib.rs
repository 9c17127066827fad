//! The DataFusion session over the store, with the alignment kernels as operators.

pub mod asof;
mod columns;
pub mod energy;
mod error;
pub mod file;
mod functions;
pub mod output;
pub mod pair;
mod session;
mod sorted;
mod statement;
#[cfg(test)]
mod testing;

pub use error::QueryError;
pub use session::{Query, Settings};
