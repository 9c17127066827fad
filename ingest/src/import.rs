//! Recordings and frame logs that other tools made.
//!
//! An import appends to a session as a recording does: batches of rows into a [`Sink`](crate::source::Sink). It
//! never skips silently: what cannot be read is counted and named in the [`ImportReport`].

mod capframex;
mod content;
mod csv;
mod delivery;
mod follow;
mod frames;
mod jsonl;
mod lines;
mod local_time;
mod mangohud;
mod presentmon;
mod report;

use std::path::{Path, PathBuf};

pub use content::Content;
pub use follow::{FollowMangoHud, follow_mangohud};
pub use frames::{
    Began, Frame, FrameLog, FrameLogFormat, FrameRows, ProcessChoice, ReadOptions, Reading, Stream,
    import_frames, read_frame_log,
};
pub use jsonl::{EstimatedTime, TimeBasis, estimate_time, import_jsonl};

pub use report::{BadLine, ImportReport, UnknownKey};

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file could not be read at all.
    #[error("{}: cannot read: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is not what it is said to be.
    #[error("{}:{line}: {what}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// Where, from 1.
        line: u64,
        /// What is wrong and what is expected.
        what: String,
    },
    /// There is nothing in the files that could be imported.
    #[error("{}: no line with a time stamp in it; nothing to import", file.display())]
    Nothing {
        /// The first of the files.
        file: PathBuf,
    },
    /// The store takes no more.
    #[error(
        "the store took no rows of table {table} for {seconds} s: the disk is full or too slow; make room and import the rest again"
    )]
    Full {
        /// The table.
        table: &'static str,
        /// How long the import waited.
        seconds: u64,
    },
}

impl ImportError {
    fn io(file: &Path, error: std::io::Error) -> Self {
        ImportError::Io { file: file.to_path_buf(), error }
    }

    fn format(file: &Path, line: u64, what: impl Into<String>) -> Self {
        ImportError::Format { file: file.to_path_buf(), line, what: what.into() }
    }
}
