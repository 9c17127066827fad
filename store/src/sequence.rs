//! Numbers of segments. They never come back, not even when sealed files have gone elsewhere.

use crate::error::Result;
use crate::layout::SessionDir;

/// Number of the next segment of a table: greater than every one that is or was there.
pub(crate) fn next(dir: &SessionDir, table: &str) -> Result<u64> {
    let sealed = dir.sealed_files(table)?.into_iter().map(|f| f.seq);
    let open = dir.open_segments(table)?.into_iter().map(|(seq, _)| seq);
    Ok(sealed.chain(open).max().unwrap_or(0).max(highest(dir, table)) + 1)
}

/// Notes, durably, that a number was used, before its segment goes.
pub(crate) fn note(dir: &SessionDir, table: &str, seq: u64) -> Result<()> {
    if seq <= highest(dir, table) {
        return Ok(());
    }
    dir.storage().replace_file(&dir.highest_sequence(table), format!("{seq}\n").as_bytes())
}

/// The number noted; 0 where there is none. Were the note damaged, files and segments would still tell of those that are
/// there.
fn highest(dir: &SessionDir, table: &str) -> u64 {
    let text = std::fs::read_to_string(dir.highest_sequence(table)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}
