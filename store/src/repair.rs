//! Repair: what verification finds and can be mended is mended; what cannot be is set aside, and nothing is thrown away.

mod manifest;

use std::fmt;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::clock::realtime_ns;
use crate::count::{Footer, count_rows};
use crate::error::{Result, StoreError};
use crate::health::{Reason, health_row};
use crate::index::{self, Entry};
use crate::layout::{SessionDir, set_aside};
use crate::lock::{Attempt, Lock};
use crate::maintenance::{Maintenance, Task};
use crate::manifest::{Manifest, State};
use crate::recover::{self, Recovered, has_orphans, recover_held, seal_orphans, write_health};
use crate::rest::Origin;
use crate::verified::Verified;
use crate::verify::{Report, verify};

/// What was done about one file. As text it is one line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The file.
    pub path: PathBuf,
    /// What was done.
    pub mending: Mending,
    /// The same in words.
    pub what: String,
}

/// What can be done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mending {
    /// `session.json` was made up from what the rows tell.
    Rebuilt,
    /// Segments were sealed.
    Sealed,
    /// The index of a day was made anew.
    Indexed,
    /// A damaged file was set aside, with so many rows, if that is known.
    SetAside(Option<u64>),
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// What became of a session that was repaired.
#[derive(Debug, Default)]
pub struct Repair {
    /// What was done.
    pub mended: Vec<Mended>,
    /// What could not be done, each sentence with its file.
    pub failed: Vec<StoreError>,
    /// What is to be said of the session now.
    pub report: Report,
}

/// Mends what can be mended of a session that nobody records: `session.json` is made up from the rows where it is damaged or
/// missing, segments that dead recorders left are sealed, indexes are made anew, and sealed files that are not as they were
/// written are set aside as `_….parquet.damaged`, with a row of `health` that says how many rows they had.
///
/// # Errors
/// [`StoreError::Locked`] while it is recorded and [`StoreError::Busy`] while another process maintains it; when a newer
/// program wrote it; and when folders cannot be listed. What fails for one file is in the answer.
pub fn repair(dir: &SessionDir) -> Result<Repair> {
    let _writer = match Lock::try_take(&dir.lock(), "")? {
        Attempt::Got(lock) => lock,
        Attempt::Held(by) => {
            return Err(StoreError::Locked { name: dir.name(), pid: by.pid });
        }
    };
    let held = Maintenance::take(dir, Task::Repair)?;
    let mut repair = Repair::default();
    let manifest = match Manifest::read(&dir.manifest()) {
        Err(e @ StoreError::Newer { .. }) => return Err(e),
        Err(e) if is_damaged(&e) => manifest::rebuild(dir, &mut repair)?,
        other => other?,
    };
    repair.seal(&held, &manifest)?;
    for table in dir.raw_tables()? {
        for folder in dir.day_folders(&table)? {
            let mended = repair.mend_day(dir, &folder);
            repair.note_failure(mended);
        }
    }
    let noted = repair.tell(dir, &manifest);
    repair.note_failure(noted);
    repair.report = verify(dir)?;
    Ok(repair)
}

fn is_damaged(e: &StoreError) -> bool {
    match e {
        StoreError::Manifest { .. } => true,
        StoreError::Io(e) => {
            matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidData)
        }
        _ => false,
    }
}

impl Repair {
    fn note(&mut self, path: impl Into<PathBuf>, mending: Mending, what: impl Into<String>) {
        self.mended.push(Mended { path: path.into(), mending, what: what.into() });
    }

    fn note_failure(&mut self, done: Result<()>) {
        self.failed.extend(done.err());
    }

    /// Seals what dead recorders left.
    fn seal(&mut self, held: &Maintenance, manifest: &Manifest) -> Result<()> {
        let dir = held.dir();
        let recovered = match manifest.state {
            State::Recording => recover_held(held)?.unwrap_or_default(),
            _ if has_orphans(dir)? => {
                let origin = origin(manifest);
                let recovered = seal_orphans(held, &origin)?;
                recover::tell(dir, &origin, manifest.anchor, &recovered)?;
                recovered
            }
            _ => Recovered::default(),
        };
        if recovered.segments > 0 {
            let what =
                format!("{} segments sealed with {} rows", recovered.segments, recovered.rows);
            self.note(dir.path(), Mending::Sealed, what);
        }
        for (segment, damage) in recovered.damaged {
            let what = format!(
                "{} bytes were damaged, with {} known rows: kept as *.wal.damaged",
                damage.bytes, damage.rows
            );
            self.note(segment, Mending::SetAside(Some(damage.rows)), what);
        }
        Ok(())
    }

    /// Brings the index of a day up to date, and sets aside what is damaged.
    fn mend_day(&mut self, dir: &SessionDir, folder: &Path) -> Result<()> {
        let day = index::read_day(folder)?;
        let mut adopted = Vec::new();
        let mut gone = Vec::new();
        for entry in &day.files {
            let path = folder.join(&entry.file);
            match check(&path, entry) {
                Ok(None) => {}
                Ok(Some(entry)) => adopted.push(entry),
                Err(e @ (StoreError::Damaged { .. } | StoreError::Parquet { .. })) => {
                    self.set_aside(dir, &path, Some(entry.rows), &e)?;
                    gone.push(entry.file.clone());
                }
                Err(e) => self.failed.push(e),
            }
        }
        for e in day.unreadable {
            match &e {
                StoreError::Parquet { path, .. } => {
                    let entry = index::entry_of(path);
                    self.set_aside(dir, path, entry.as_ref().map(|e| e.rows), &e)?;
                    gone.extend(entry.map(|e| e.file));
                }
                _ => self.failed.push(e),
            }
        }
        let is_stale = day.damaged.is_some() || !adopted.is_empty() || !gone.is_empty();
        if is_stale {
            index::update(dir.storage(), folder, |all| {
                all.retain(|file, _| !gone.contains(file));
                all.extend(adopted.iter().map(|e| (e.file.clone(), e.clone())));
            })?;
        }
        if day.damaged.is_some() || !adopted.is_empty() {
            let what = format!(
                "index made anew: checksums of {} files taken now, of what can be read of them",
                adopted.len()
            );
            self.note(folder, Mending::Indexed, what);
        }
        Ok(())
    }

    /// Takes a damaged file out of every answer, and keeps it beside.
    fn set_aside(
        &mut self,
        dir: &SessionDir,
        path: &Path,
        rows: Option<u64>,
        why: &StoreError,
    ) -> Result<()> {
        let kept = set_aside(path);
        dir.storage().rename(path, &kept)?;
        dir.storage().sync_parent(path)?;
        let told = rows.map_or("an unknown number of".into(), |rows| rows.to_string());
        let what = format!("set aside as {} with {told} rows: {why}", kept.display());
        self.note(path, Mending::SetAside(rows), what);
        Ok(())
    }

    /// Writes into the session's own `health` what was set aside, and how many rows there are now.
    fn tell(&self, dir: &SessionDir, manifest: &Manifest) -> Result<()> {
        let Some(table) = bl_schemas::table("health") else { return Ok(()) };
        // On the session's timeline, which may have ended with its boot.
        let ts = manifest.ended_ns.unwrap_or_else(realtime_ns);
        let row = |m: &Mended| match m.mending {
            // Recovery has told of segments.
            Mending::SetAside(rows) if m.path.extension().is_some_and(|e| e == "parquet") => {
                let text = m.to_string();
                let count = rows.unwrap_or(0);
                Some(health_row(table, ts, "store", Reason::Damaged, count, &text))
            }
            _ => None,
        };
        let rows: Vec<RecordBatch> = self.mended.iter().filter_map(row).collect();
        if !rows.is_empty() {
            write_health(dir, &origin(manifest), &rows)?;
        }
        let mut manifest = Manifest::read(&dir.manifest())?;
        let rows = count_rows(dir)?.rows;
        if manifest.rows != rows && !self.mended.is_empty() && manifest.state != State::Recording {
            manifest.rows = rows;
            manifest.write(dir)?;
        }
        Ok(())
    }
}

fn origin(manifest: &Manifest) -> Origin {
    Origin { session: manifest.id.to_string(), node: manifest.node.clone() }
}

/// Makes sure that a file is as it was written; one of which no checksum is known is read to its end instead, and its entry
/// is told with the checksum that it has now.
fn check(path: &Path, entry: &Entry) -> Result<Option<Entry>> {
    if Verified::default().check(path, entry)? {
        return Ok(None);
    }
    let before = Footer::read(path)?;
    let rows = decode(path)?;
    if rows != before.rows {
        let what = format!("{rows} rows, its footer tells of {}", before.rows);
        return Err(StoreError::Damaged { path: path.into(), what });
    }
    let (bytes, crc32) = index::checksum(path)?;
    let mut entry = Entry { rows, bytes, crc32: Some(crc32), ..entry.clone() };
    entry.other.insert(ADOPTED.into(), true.into());
    Ok(Some(entry))
}

/// Key of an entry whose checksum was taken from a file that could be read, not while it was written.
const ADOPTED: &str = "adopted";

/// Reads all rows of a file; how many there are.
fn decode(path: &Path) -> Result<u64> {
    let failed = |source| StoreError::Parquet { path: path.into(), source };
    let file = fs_err::File::open(path)?.into_parts().0;
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build()).map_err(failed)?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|e| failed(parquet::errors::ParquetError::from(e)))?;
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}
