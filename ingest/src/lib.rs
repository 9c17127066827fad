//! Collectors, one folder a kind of source, and the supervisor that runs them.

pub mod probe;
pub mod source;

pub use source::{Context, Source, SourceError};
