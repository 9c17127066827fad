//! Recovery: what a recorder that died has left behind is sealed.

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use bl_schemas::Table;

use crate::clock::Anchor;
use crate::count::{Footer, count_rows};
use crate::error::{Result, StoreError};
use crate::health::{Reason, health_row};
use crate::index;
use crate::layout::{SealedFile, SessionDir, names_in};
use crate::lock::{Attempt, Lock};
use crate::maintenance::{Maintenance, Task};
use crate::manifest::{Manifest, State};
use crate::rest::Origin;
use crate::seal::{Sealed, seal};
use crate::segment::{Damage, SegmentWriter};
use crate::sequence;
use crate::session::Session;
use crate::storage::is_unfinished;
use crate::verified::Verified;

/// What was recovered of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that were sealed.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// What was damaged, summed over them.
    pub damage: Damage,
    /// The segments that were damaged, each kept beside as `*.wal.damaged`.
    pub damaged: Vec<(PathBuf, Damage)>,
    /// Why segments were left as they are: a newer `bl` wrote them. Each sentence names its file.
    pub left: Vec<String>,
    /// Sealed files that cannot be read, and why. Each sentence names its file.
    pub unreadable: Vec<String>,
}

/// Recovers a session whose recorder died; `None` when there is nothing to do or a process records it.
pub(crate) fn recover(session: &Session) -> Result<Option<Recovered>> {
    if session.manifest().state != State::Recording {
        return Ok(None);
    }
    let dir = session.dir();
    let Attempt::Got(_lock) = Lock::try_take(&dir.lock(), "")? else { return Ok(None) };
    recover_held(&Maintenance::take(dir, Task::Recovery)?)
}

/// The same for whoever holds the writer's lock, too.
pub(crate) fn recover_held(held: &Maintenance) -> Result<Option<Recovered>> {
    let dir = held.dir();
    // It may have ended in order between the two looks.
    let mut manifest = Manifest::read(&dir.manifest())?;
    if manifest.state != State::Recording {
        return Ok(None);
    }
    let origin = Origin { session: manifest.id.to_string(), node: manifest.node.clone() };
    let mut recovered = seal_orphans(held, &origin)?;
    if !recovered.left.is_empty() {
        // It stays as it is, for the program that knows what is in there.
        return Ok(Some(recovered));
    }
    let counted = count_rows(dir)?;
    recovered.unreadable = counted.unreadable;
    tell(dir, &origin, manifest.anchor, &recovered)?;
    manifest.rows = count_rows(dir)?.rows;
    manifest.ended_ns = counted.last_ts.or(Some(manifest.started_ns));
    manifest.state = State::Recovered;
    manifest.write(dir)?;
    Ok(Some(recovered))
}

/// Whether there is something to seal or to remove in a session that nobody writes.
pub(crate) fn has_orphans(dir: &SessionDir) -> Result<bool> {
    for table in dir.raw_tables()? {
        let is_open = !dir.open_segments(&table)?.is_empty();
        if is_open || !unfinished(dir, &table)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Seals every open segment of a session that nobody writes.
pub(crate) fn seal_orphans(held: &Maintenance, origin: &Origin) -> Result<Recovered> {
    let dir = held.dir();
    let mut recovered = Recovered::default();
    for name in dir.raw_tables()? {
        for path in unfinished(dir, &name)? {
            dir.storage().remove_file(&path)?;
        }
        let sealed = dir.sealed_files(&name)?;
        for (seq, path) in dir.open_segments(&name)? {
            let files: Vec<_> = sealed.iter().filter(|f| f.seq == seq).collect();
            if is_sealed(&files) {
                // It died between the rename and the removal.
                for file in &files {
                    dir.storage().sync_parent(&file.path)?;
                }
                index::add_sealed(dir, &files)?;
                dir.storage().remove_file(&path)?;
                continue;
            }
            let Some(table) = bl_schemas::table(&name) else {
                let what = format!("table {name} is not known");
                recovered.left.push(StoreError::Newer { path, what }.to_string());
                continue;
            };
            match seal(dir, table, origin, seq, None) {
                Ok(sealed) => recovered.add(path, sealed),
                Err(e @ StoreError::Newer { .. }) => recovered.left.push(e.to_string()),
                Err(e) => return Err(e),
            }
        }
    }
    Ok(recovered)
}

/// Whether these files are all that became of a segment. One that is not as it was written is made again, as the segment is
/// there.
fn is_sealed(files: &[&SealedFile]) -> bool {
    let is_whole = |file: &SealedFile| match index::entry_of(&file.path) {
        Some(entry) => Verified::default().check(&file.path, &entry).is_ok(),
        None => Footer::read(&file.path).is_ok(),
    };
    files.iter().any(|f| f.part == 0) && files.iter().all(|f| is_whole(f))
}

impl Recovered {
    fn add(&mut self, segment: PathBuf, sealed: Sealed) {
        self.segments += 1;
        self.rows += sealed.rows;
        self.damage.bytes += sealed.damage.bytes;
        self.damage.rows += sealed.damage.rows;
        self.damage.torn_bytes += sealed.damage.torn_bytes;
        if sealed.damage.is_serious() {
            self.damaged.push((segment, sealed.damage));
        }
    }
}

/// Files that were being written when their writer died.
fn unfinished(dir: &SessionDir, table: &str) -> Result<Vec<PathBuf>> {
    let mut folders = dir.hour_folders(table)?;
    folders.extend(dir.day_folders(table)?);
    folders.push(dir.raw(table));
    let mut files = Vec::new();
    for folder in folders {
        let names = names_in(&folder)?.into_iter().filter(|n| is_unfinished(n));
        files.extend(names.map(|n| folder.join(n)));
    }
    Ok(files)
}

/// Writes into the session's own `health` what happened to it.
pub(crate) fn tell(
    dir: &SessionDir,
    origin: &Origin,
    anchor: Anchor,
    recovered: &Recovered,
) -> Result<()> {
    let Some(table) = bl_schemas::table("health") else { return Ok(()) };
    let ts = anchor.now();
    let detail = format!(
        "the recorder had died: {} segments sealed with {} rows, {} torn bytes left out",
        recovered.segments, recovered.rows, recovered.damage.torn_bytes
    );
    let mut rows = vec![health_row(table, ts, "store", Reason::Recovered, recovered.rows, &detail)];
    rows.extend(
        recovered
            .damaged
            .iter()
            .filter_map(|(segment, damage)| damage_row(ts, segment, damage).map(|(_, row)| row)),
    );
    for what in &recovered.unreadable {
        rows.push(health_row(table, ts, "store", Reason::Damaged, 0, what));
    }
    write_health(dir, origin, &rows)
}

/// The row of `health` that tells of damage in a segment, if there is any.
pub(crate) fn damage_row(
    ts: i64,
    segment: &Path,
    damage: &Damage,
) -> Option<(&'static Table, RecordBatch)> {
    let table = bl_schemas::table("health").filter(|_| damage.is_serious())?;
    let detail = format!(
        "{} bytes were damaged in place, with {} known rows: kept as {}.damaged",
        damage.bytes,
        damage.rows,
        segment.display()
    );
    Some((table, health_row(table, ts, "store", Reason::Damaged, damage.rows, &detail)))
}

/// Writes rows of `health` where no writer runs.
pub(crate) fn write_health(dir: &SessionDir, origin: &Origin, rows: &[RecordBatch]) -> Result<()> {
    let Some(table) = bl_schemas::table("health") else { return Ok(()) };
    dir.storage().create_dir_durably(&dir.open("health"))?;
    let seq = sequence::next(dir, "health")?;
    let path = dir.segment("health", seq);
    let mut segment = SegmentWriter::create(dir.storage(), &path, &table.row_schema())?;
    rows.iter().try_for_each(|r| segment.append(r))?;
    segment.sync()?;
    seal(dir, table, origin, seq, None)?;
    Ok(())
}
