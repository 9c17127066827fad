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
    if noted(dir, table).is_ok_and(|noted| noted >= Some(seq)) {
        return Ok(());
    }
    dir.storage().replace_file(&dir.highest_sequence(table), format!("{seq}\n").as_bytes())
}

/// The number noted; 0 where there is none. Were the note damaged, files and segments would still tell of those that are
/// there.
fn highest(dir: &SessionDir, table: &str) -> u64 {
    noted(dir, table).ok().flatten().unwrap_or(0)
}

/// The number noted, if any is; else why it cannot be told.
pub(crate) fn noted(dir: &SessionDir, table: &str) -> Result<Option<u64>, String> {
    let text = match std::fs::read(dir.highest_sequence(table)) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let number = std::str::from_utf8(&text).ok().and_then(|t| t.strip_suffix('\n')?.parse().ok());
    number.map(Some).ok_or_else(|| "it is no number".into())
}
