//! Collectors, one folder a kind of source, and the supervisor that runs them.

pub mod gpu;
pub mod host;
pub mod hwmon;
pub mod kernel;
mod meter;
pub mod rapl;
pub mod source;
mod supervisor;

pub use source::{Context, Source, SourceError};
pub use supervisor::Supervisor;
