//! Files that were found to be as they were written.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::{Result, StoreError};
use crate::index::{self, Entry};

/// As many files are remembered; beyond them all are forgotten, and read once more.
const REMEMBERED: usize = 1 << 16;

/// Remembers which sealed files are as they were written, so that each is read for it once in the life of a process. One is
/// known again by its place on the disk, its length and its times, and is checked again when any of these changes.
#[derive(Debug, Default)]
pub struct Verified {
    whole: Mutex<HashMap<(u64, u64), State>>,
}

/// What changes when a file does, and the checksum that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    crc32: u32,
}

impl Verified {
    /// Makes sure that a file is as its entry in the index tells, reading it from its beginning to its end if it was not
    /// before. `false` where the entry has no checksum: then nobody can tell.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is another one, and what the disk says.
    pub fn check(&self, path: &Path, entry: &Entry) -> Result<bool> {
        let metadata = fs_err::metadata(path)?;
        let damaged = |what: String| StoreError::Damaged { path: path.into(), what };
        if metadata.len() != entry.bytes {
            let what = format!("{} bytes, {} were written", metadata.len(), entry.bytes);
            return Err(damaged(what));
        }
        let Some(written) = entry.crc32 else { return Ok(false) };
        let place = (metadata.dev(), metadata.ino());
        let state = State {
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            crc32: written,
        };
        if self.lock().get(&place) == Some(&state) {
            return Ok(true);
        }
        match index::checksum(path)? {
            (_, found) if found != written => {
                Err(damaged(format!("checksum {found:08x}, {written:08x} was written")))
            }
            _ => {
                let mut whole = self.lock();
                if whole.len() >= REMEMBERED {
                    whole.clear();
                }
                whole.insert(place, state);
                Ok(true)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, u64), State>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
