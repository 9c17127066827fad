//! The frames of which nobody can tell what became of them, as rows of table `health`: `aligned/health`.

use std::path::PathBuf;

use bl_store::{Origin, Reason, Session, StoreError, at_rest, health_row, write_parquet};

use super::LatencyError;
use super::progress::{PairProgress, Progress};

/// What the rows carry in `source`.
const SOURCE: &str = "align";

/// The file of a session, where it has one.
pub(crate) fn file(session: &Session) -> Option<PathBuf> {
    Some(path(session)).filter(|path| path.exists())
}

fn path(session: &Session) -> PathBuf {
    session.dir().aligned("health").join("doubts.parquet")
}

/// Writes the file anew by what is aligned now.
pub(super) fn tell(session: &Session, progress: &Progress) -> Result<(), LatencyError> {
    let path = path(session);
    let Some(table) = bl_schemas::table("health") else { return Ok(()) };
    let row = |pair: &PairProgress| {
        let PairProgress { stage_a, stage_b, .. } = pair;
        let detail = format!(
            "frames from {stage_a} to {stage_b}: timing or a lost key leaves open what became of them, so that they \
             have no latency and are not counted as dropped"
        );
        health_row(
            table,
            pair.doubtful.since_ns,
            SOURCE,
            Reason::Ambiguous,
            pair.doubtful.frames,
            &detail,
        )
    };
    let doubtful = progress.pairs.iter().filter(|pair| pair.doubtful.frames > 0);
    let rows: Vec<_> = doubtful.map(row).collect();
    if rows.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(named(&path, e)),
            _ => Ok(()),
        };
    }
    let origin =
        Origin { session: session.id().to_string(), node: session.manifest().node.clone() };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| named(&path, e))?;
    }
    Ok(write_parquet(&path, table, &at_rest(table, &origin, &rows)?)?)
}

fn named(path: &std::path::Path, e: std::io::Error) -> LatencyError {
    let e = std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    LatencyError::Store(StoreError::Io(e))
}
