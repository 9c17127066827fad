//! Writes the rows of `latency` that are not written yet.
//!
//! A run writes new files, then replaces `progress.json`, which makes them count, then removes those that no
//! longer do. Whenever the process dies, the next run finds what it left and removes it.

use std::fs::{File, TryLockError};
use std::path::Path;

use bl_align::SETTLING_NS;
use bl_store::{Session, StoreError, write_parquet};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};

use super::demand::Demand;
use super::doubts;
use super::events::stamps;
use super::progress::{Progress, RawRows, Task};
use super::rows::{Until, compute};
use super::{LatencyError, LatencyOptions};

/// What was aligned in one session.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// The session.
    pub session: String,
    /// Whether it was being recorded, so that more is to come.
    pub live: bool,
    /// Its pairs.
    pub pairs: Vec<AlignedPair>,
}

/// What was aligned of one pair of stages.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedPair {
    /// Where frames begin.
    pub stage_a: String,
    /// Where they end.
    pub stage_b: String,
    /// Rows written by this run: frames.
    pub rows: u64,
    /// How many of them were dropped.
    pub dropped: u64,
    /// Of how many nobody can tell what became of them.
    pub ambiguous: u64,
    /// Events left out, as they have not the key that the others of their pipeline are paired by.
    pub unkeyed: u64,
    /// Stages of the two that no event of the session names.
    pub unseen: Vec<String>,
}

/// Aligns the pairs of a session as far as they are not: what is in the files already is not computed again,
/// unless [`Method`](super::Method) or the raw rows of an ended session are not those that it was made of.
///
/// # Errors
/// When raw rows cannot be read, files cannot be written, or another process aligns the session.
pub fn align(session: &Session, options: &LatencyOptions) -> Result<Aligned, LatencyError> {
    let options = &options.of(session)?;
    let folder = session.dir().aligned("latency");
    std::fs::create_dir_all(&folder).map_err(|e| at(&folder, e))?;
    let _lock = lock(session, &folder)?;
    let mut progress = Progress::read(session)?;
    clear(&folder, &progress)?;
    let tasks = progress.tasks(session, options)?;
    let open: Vec<Task> = tasks.iter().filter(|task| task.open).cloned().collect();
    let mut files = vec![Vec::new(); open.len()];
    let mut counts = vec![Counts::default(); open.len()];
    let until = until(session, options);
    let ends = compute(session, &open, until, &Demand::everything(), |task, batch| {
        progress.next_file += 1;
        let name = format!("{:06}.parquet", progress.next_file);
        if let Some(table) = bl_schemas::table("latency") {
            write_parquet(&folder.join(&name), table, &batch)?;
        }
        counts[task].add(&batch);
        files[task].push(name);
        Ok(())
    })?;
    for (at, (end, new)) in ends.into_iter().zip(files).enumerate() {
        counts[at].unkeyed = end.unkeyed;
        let mut end = end.progress;
        if end.doubtful.frames == 0 {
            end.doubtful.since_ns = counts[at].ambiguous_since_ns;
        }
        end.doubtful.frames += counts[at].ambiguous;
        end.files.extend(new);
        progress.pairs.retain(|p| (&p.stage_a, &p.stage_b) != (&end.stage_a, &end.stage_b));
        progress.pairs.push(end);
    }
    if !open.is_empty() {
        progress.write(session)?;
        doubts::tell(session, &progress)?;
        clear(&folder, &progress)?;
    }
    let pairs = options.pairs.iter().map(|(stage_a, stage_b)| {
        let at = open.iter().position(|t| (&t.stage_a, &t.stage_b) == (stage_a, stage_b));
        let Counts { rows, dropped, ambiguous, unkeyed, .. } =
            at.map(|at| counts[at]).unwrap_or_default();
        let unseen = unseen(&progress, stage_a, stage_b);
        let (stage_a, stage_b) = (stage_a.clone(), stage_b.clone());
        AlignedPair { stage_a, stage_b, rows, dropped, ambiguous, unkeyed, unseen }
    });
    Ok(Aligned {
        session: session.id().to_string(),
        live: RawRows::of(session).is_none(),
        pairs: pairs.collect(),
    })
}

/// What one run wrote of a pair.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    rows: u64,
    dropped: u64,
    ambiguous: u64,
    ambiguous_since_ns: i64,
    unkeyed: u64,
}

impl Counts {
    fn add(&mut self, batch: &RecordBatch) {
        let dropped = batch["dropped"].as_boolean();
        self.rows += batch.num_rows() as u64;
        self.dropped += dropped.true_count() as u64;
        let first = (0..batch.num_rows()).find(|row| dropped.is_null(*row));
        if let Some(row) = first.filter(|_| self.ambiguous == 0) {
            self.ambiguous_since_ns = stamps(batch)[row];
        }
        self.ambiguous += dropped.null_count() as u64;
    }
}

/// Up to where frames are settled now.
fn until(session: &Session, options: &LatencyOptions) -> Until {
    let manifest = session.manifest();
    // An import that is under way has a clock of its own.
    let now_ns = if manifest.anchor_estimated { i64::MIN } else { manifest.anchor.now() };
    let unsettled_ns = SETTLING_NS.saturating_add(options.method.window_ns.max(0));
    Until::Instant(now_ns.saturating_sub(unsettled_ns))
}

fn unseen(progress: &Progress, stage_a: &str, stage_b: &str) -> Vec<String> {
    let pair = progress.pairs.iter().find(|p| p.stage_a == stage_a && p.stage_b == stage_b);
    let (seen_a, seen_b) = pair.map_or((false, false), |pair| (pair.seen_a, pair.seen_b));
    let stages = [(stage_a, seen_a), (stage_b, seen_b)].into_iter();
    stages.filter(|(_, seen)| !seen).map(|(stage, _)| stage.to_string()).collect()
}

/// One run at a time.
fn lock(session: &Session, folder: &Path) -> Result<File, LatencyError> {
    let path = folder.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| at(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LatencyError::Busy(session.id().to_string())),
        Err(TryLockError::Error(e)) => Err(at(&path, e)),
    }
}

/// Removes the files that do not count.
fn clear(folder: &Path, progress: &Progress) -> Result<(), LatencyError> {
    let counts =
        |name: &str| progress.pairs.iter().any(|p| p.files.iter().any(|file| file == name));
    for entry in std::fs::read_dir(folder).map_err(|e| at(folder, e))? {
        let entry = entry.map_err(|e| at(folder, e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name.ends_with(".parquet") || name.ends_with(".parquet.tmp");
        if is_ours && !counts(&name) {
            std::fs::remove_file(entry.path()).map_err(|e| at(&entry.path(), e))?;
        }
    }
    Ok(())
}

fn at(path: &Path, e: std::io::Error) -> LatencyError {
    let e = std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    LatencyError::Store(StoreError::Io(e))
}
