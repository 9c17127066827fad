//! A session as readers see it: sealed and open rows together.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use bl_schemas::Table;

use crate::error::{Result, StoreError};
use crate::index::{self, Entry};
use crate::layout::{SealedFile, SessionDir, that_count};
use crate::lock::Lock;
use crate::manifest::{Manifest, State};
use crate::names::SessionId;
use crate::rest::{Origin, at_rest};
use crate::segment::{Damage, SegmentReader};

/// A session, for reading. Any number of readers may look at one that is being recorded.
#[derive(Debug, Clone)]
pub struct Session {
    dir: SessionDir,
    manifest: Manifest,
}

/// The rows of one table at one instant.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Sealed files, in the order of their sealing.
    pub sealed: Vec<SealedFile>,
    /// Rows that are not sealed yet, one batch a segment, at rest and each sorted by `ts`.
    pub open: Vec<RecordBatch>,
    /// What was damaged in open segments.
    pub damage: Vec<(PathBuf, Damage)>,
    /// Segments that this program cannot read, as they are of a newer format: why, each naming its file.
    pub left_out: Vec<StoreError>,
}

/// The sealed files of one table that may have rows of a span of time, and what is known of each.
#[derive(Debug, Default)]
pub struct Files {
    /// Them, by their numbers, each with its rows, bytes, stamps and checksum.
    pub files: Vec<(SealedFile, Entry)>,
    /// Files that cannot be read, each named: what is in them is not known.
    pub unreadable: Vec<StoreError>,
}

impl Session {
    pub(crate) fn open(dir: SessionDir) -> Result<Self> {
        let manifest = Manifest::read(&dir.manifest())?;
        Ok(Self { dir, manifest })
    }

    /// Its name.
    pub fn id(&self) -> &SessionId {
        &self.manifest.id
    }

    /// Its `session.json`, as it was when the session was opened.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its folder.
    pub fn dir(&self) -> &SessionDir {
        &self.dir
    }

    /// Whether a process records it now. A manifest that says `recording` without one tells of a crash.
    pub fn is_live(&self) -> bool {
        self.manifest.state == State::Recording && Lock::is_held(&self.dir.lock())
    }

    /// What `session` and `node` are in its rows.
    pub fn origin(&self) -> Origin {
        Origin { session: self.manifest.id.to_string(), node: self.manifest.node.clone() }
    }

    /// Names of the tables that it has rows of, raw and aligned.
    ///
    /// # Errors
    /// When its folders cannot be listed.
    pub fn tables(&self) -> Result<Vec<String>> {
        let mut tables = self.dir.raw_tables()?;
        tables.extend(crate::layout::names_in(&self.dir.path().join("aligned"))?);
        tables.sort();
        Ok(tables)
    }

    /// Whether it has files or open segments of a raw table. None of them is read, so that there may be no row in them.
    ///
    /// # Errors
    /// When its folders cannot be listed.
    pub fn has_files_of(&self, table: &str) -> Result<bool> {
        let open = self.dir.open_segments(table)?;
        Ok(!open.is_empty() || !self.dir.sealed_files(table)?.is_empty())
    }

    /// The sealed files of a raw table that may have rows from `from_ns` on and before `to_ns`, by the indexes of its days: no
    /// file that they know is opened. [`Verified`](crate::Verified) tells whether one is as it was written.
    ///
    /// # Errors
    /// When folders cannot be listed.
    pub fn files(&self, table: &str, from_ns: i64, to_ns: i64) -> Result<Files> {
        // As in a snapshot: the open ones first.
        let segments = self.dir.open_segments(table)?;
        let mut found = index::between(&self.dir, table, from_ns, to_ns)?;
        if !segments.is_empty() {
            // The first file of a segment may lie in another day.
            let mut count = self.dir.sealed_files(table)?;
            that_count(&mut count, &segments);
            found.files.retain(|(file, _)| count.binary_search(file).is_ok());
        }
        Ok(found)
    }

    /// The rows of a raw table now: every row that has been flushed is there once.
    ///
    /// # Errors
    /// When files cannot be listed or read.
    pub fn snapshot(&self, table: &Table) -> Result<Snapshot> {
        // A segment may be sealed between two looks: then it is found the next time.
        for _ in 0..10 {
            if let Some(snapshot) = self.try_snapshot(table)? {
                return Ok(snapshot);
            }
        }
        Err(StoreError::Segment {
            path: self.dir.raw(&table.name),
            what: "segments vanish faster than they can be read: try again".into(),
        })
    }

    /// `None` when a segment went away while it looked.
    fn try_snapshot(&self, table: &Table) -> Result<Option<Snapshot>> {
        // Open ones first: what is sealed afterwards shows up in the second list, under the same number.
        let segments = self.dir.open_segments(&table.name)?;
        let mut sealed = self.dir.sealed_files(&table.name)?;
        that_count(&mut sealed, &segments);
        let mut snapshot = Snapshot { sealed, ..Snapshot::default() };
        for (seq, path) in segments {
            if snapshot.sealed.iter().any(|f| f.seq == seq) {
                continue;
            }
            let mut reader = match SegmentReader::open(&path, table) {
                Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(None);
                }
                Err(e @ StoreError::Newer { .. }) => {
                    snapshot.left_out.push(e);
                    continue;
                }
                other => other?,
            };
            let batches = reader.read_new()?;
            if !batches.is_empty() {
                snapshot.open.push(at_rest(table, &self.origin(), &batches)?);
            }
            if reader.damage().is_serious() {
                snapshot.damage.push((path, reader.damage().clone()));
            }
        }
        Ok(Some(snapshot))
    }
}
