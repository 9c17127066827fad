//! What can go wrong with a store.

use std::path::PathBuf;

use crate::names::NameError;

/// An operation on a store that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused; the text names the path.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A name of a session that cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no session of that name.
    #[error("there is no session '{name}' in {}: `bl sessions` lists them", .root.display())]
    NoSession {
        /// The name asked for.
        name: String,
        /// The data root.
        root: PathBuf,
    },
    /// The session is there and cannot be continued.
    #[error("session '{name}' {why}: choose another name with --session")]
    Taken {
        /// Its name.
        name: String,
        /// Why it cannot be continued.
        why: String,
    },
    /// Another process writes the session.
    #[error(
        "session '{name}' is being recorded by process {pid}: stop it, or choose another name with --session"
    )]
    Locked {
        /// Its name.
        name: String,
        /// Process that holds the lock, as that process wrote it down.
        pid: String,
    },
    /// Another process changes the session's sealed files.
    #[error("session '{name}' is being {what} by process {pid}: wait until it is done, or stop it")]
    Busy {
        /// Its name.
        name: String,
        /// Process that holds the lock of maintenance, as that process wrote it down.
        pid: String,
        /// What it does.
        what: String,
    },
    /// Bytes that are not those that were written.
    #[error("{}: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A `session.json` that cannot be read.
    #[error("{}: {what}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A segment that is none.
    #[error("{}: {what}", .path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An index of a day that cannot be used. Nothing is lost by it but its checksums.
    #[error("{}: {what}", .path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Something of a format or with columns that this program does not know.
    #[error("{}: {what}: use a newer bl; nothing of it was changed", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What is newer.
        what: String,
    },
    /// Arrow refused data.
    #[error("{what}: {source}")]
    Arrow {
        /// What was being done.
        what: String,
        /// The reason.
        source: arrow_schema::ArrowError,
    },
    /// Parquet could not be written or read.
    #[error("{}: {source}", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: parquet::errors::ParquetError,
    },
}

impl StoreError {
    /// Whether the disk, or what a user may take of it, is full.
    pub fn is_full_disk(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io(e) if matches!(e.kind(), StorageFull | QuotaExceeded))
    }

    pub(crate) fn arrow(what: impl Into<String>, source: arrow_schema::ArrowError) -> Self {
        Self::Arrow { what: what.into(), source }
    }
}

/// What the store's operations return.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
