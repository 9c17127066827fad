//! Collectors, one folder a kind of source, and the supervisor that runs them.

pub mod host;
pub mod hwmon;
pub mod kernel;
pub mod rapl;
pub mod source;

pub use source::{Context, Source, SourceError};
