//! Collectors, one folder a kind of source, and the supervisor that runs them.

pub mod alert;
pub mod doctor;
mod draft;
pub mod gpu;
pub mod host;
pub mod hwmon;
pub mod import;
mod meter;
pub mod network;
pub mod probe;
pub mod process;
pub mod rapl;
mod recording;
pub mod serial;
pub mod socket;
pub mod source;
mod supervisor;
pub mod sysfs;
mod watchdog;

pub use recording::{Recording, Summary};
pub use source::{Context, Source, SourceError};
pub use supervisor::Supervisor;
