//! Collectors, one folder a kind of source, and the supervisor that runs them.

pub mod import;
#[cfg(test)]
mod kept;
pub mod socket;
pub mod source;

pub use source::{Context, Source, SourceError};
