//! Collectors, one folder a kind of source, and the supervisor that runs them.

pub mod source;
mod supervisor;

pub use source::{Context, Source, SourceError};
pub use supervisor::Supervisor;
