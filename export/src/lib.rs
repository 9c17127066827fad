//! Formats, and nothing else: what leaves the store, one file each.

pub mod cx;
mod staged;
pub mod table;

pub use staged::StagedFile;
