//! Recovery: what a recorder that died has left behind is sealed.

use arrow_array::RecordBatch;
use bl_schemas::Table;

use crate::error::Result;
use crate::health::{Reason, health_row};
use crate::layout::{SessionDir, names_in};
use crate::lock::{Attempt, Lock};
use crate::manifest::{Manifest, State};
use crate::rest::Origin;
use crate::seal::seal;
use crate::segment::{Damage, SegmentWriter};
use crate::session::Session;
use crate::storage::is_unfinished;

/// What was recovered of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that were sealed.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// What was damaged, summed over them.
    pub damage: Damage,
}

/// Recovers a session whose recorder died; `None` when there is nothing to do or a process records it.
pub(crate) fn recover(session: &Session) -> Result<Option<Recovered>> {
    if session.manifest().state != State::Recording {
        return Ok(None);
    }
    let dir = session.dir();
    let Attempt::Got(_lock) = Lock::try_take(&dir.lock())? else { return Ok(None) };
    // It may have ended in order between the two looks.
    let mut manifest = Manifest::read(&dir.manifest())?;
    if manifest.state != State::Recording {
        return Ok(None);
    }
    let recovered = seal_orphans(dir, &session.origin())?;
    tell(session, &recovered)?;
    let (rows, last_ts) = crate::count::count_rows(dir)?;
    manifest.rows = rows;
    manifest.ended_ns = last_ts.or(Some(manifest.started_ns));
    manifest.state = State::Recovered;
    manifest.write(dir)?;
    Ok(Some(recovered))
}

/// Seals every open segment of a session that nobody writes.
pub(crate) fn seal_orphans(dir: &SessionDir, origin: &Origin) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    for name in dir.raw_tables()? {
        remove_unfinished(dir, &name)?;
        let Some(table) = bl_schemas::table(&name) else { continue };
        let sealed = dir.sealed_files(&name)?;
        for (seq, path) in dir.open_segments(&name)? {
            if let Some(file) = sealed.iter().find(|f| f.seq == seq) {
                // It died between the rename and the removal.
                dir.storage().sync_parent(&file.path)?;
                dir.storage().remove_file(&path)?;
                continue;
            }
            let done = seal(dir, table, origin, seq)?;
            recovered.segments += 1;
            recovered.rows += done.rows;
            recovered.damage.bytes += done.damage.bytes;
            recovered.damage.rows += done.damage.rows;
            recovered.damage.torn_bytes += done.damage.torn_bytes;
        }
    }
    Ok(recovered)
}

/// Removes Parquet files that were being written.
fn remove_unfinished(dir: &SessionDir, table: &str) -> Result<()> {
    let raw = dir.raw(table);
    for date in names_in(&raw)?.into_iter().filter(|n| n.starts_with("date=")) {
        for hour in names_in(&raw.join(&date))? {
            let folder = raw.join(&date).join(hour);
            for name in names_in(&folder)? {
                if is_unfinished(&name) {
                    dir.storage().remove_file(&folder.join(name))?;
                }
            }
        }
    }
    Ok(())
}

/// Writes into the session's own `health` what happened to it.
fn tell(session: &Session, recovered: &Recovered) -> Result<()> {
    let Some(table) = bl_schemas::table("health") else { return Ok(()) };
    let dir = session.dir();
    let ts = session.manifest().anchor.now();
    let detail = format!(
        "the recorder had died: {} segments sealed with {} rows, {} torn bytes left out",
        recovered.segments, recovered.rows, recovered.damage.torn_bytes
    );
    let mut rows = vec![health_row(table, ts, "store", Reason::Recovered, recovered.rows, &detail)];
    if let Some((_, row)) = damage_row(ts, &recovered.damage) {
        rows.push(row);
    }
    write_health(dir, &session.origin(), &rows)
}

/// The row of `health` that tells of damage, if there is any.
pub(crate) fn damage_row(ts: i64, damage: &Damage) -> Option<(&'static Table, RecordBatch)> {
    let table = bl_schemas::table("health").filter(|_| damage.is_serious())?;
    let detail = format!(
        "{} bytes were damaged in place, with {} known rows: the segment is kept as *.wal.damaged",
        damage.bytes, damage.rows
    );
    Some((table, health_row(table, ts, "store", Reason::Damaged, damage.rows, &detail)))
}

/// Writes rows of `health` where no writer runs.
pub(crate) fn write_health(dir: &SessionDir, origin: &Origin, rows: &[RecordBatch]) -> Result<()> {
    let Some(table) = bl_schemas::table("health") else { return Ok(()) };
    dir.storage().create_dir_durably(&dir.open("health"))?;
    let seq = next_sequence(dir, "health")?;
    let path = dir.segment("health", seq);
    let mut segment = SegmentWriter::create(dir.storage(), &path, &table.row_schema())?;
    rows.iter().try_for_each(|r| segment.append(r))?;
    segment.sync()?;
    seal(dir, table, origin, seq)?;
    Ok(())
}

/// Number of the next segment of a table: greater than every one that is there.
pub(crate) fn next_sequence(dir: &SessionDir, table: &str) -> Result<u64> {
    let sealed = dir.sealed_files(table)?.into_iter().map(|f| f.seq);
    let open = dir.open_segments(table)?.into_iter().map(|(seq, _)| seq);
    Ok(sealed.chain(open).max().unwrap_or(0) + 1)
}
