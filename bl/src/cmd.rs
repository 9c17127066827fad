//! The subcommands, one file each.

pub mod align;
pub mod config;
pub mod device;
pub mod doctor;
pub mod export;
pub mod import;
pub mod ingest;
pub mod mark;
pub mod probe;
pub mod query;
pub mod serve;
pub mod sessions;
pub mod verify;

/// The call was wrong: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The words of [`UsageError`], ready to be returned.
pub fn usage(text: impl Into<String>) -> anyhow::Error {
    UsageError(text.into()).into()
}
