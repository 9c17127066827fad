//! Collectors, one folder a kind of source, and the supervisor that runs them.

pub mod serial;
pub mod source;

pub use source::{Context, Source, SourceError};
