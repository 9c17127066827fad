//! When a recording was made, as far as it can be told.
//!
//! The stamps of BENCHLAB.LinuxTelemetry are `CLOCK_MONOTONIC_RAW`, without an anchor to wall time.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bl_store::clock::Anchor;
use jiff::Timestamp;
use serde::Deserialize;

use super::super::ImportError;
use super::super::lines::Lines;

/// Stamps from here on (September 2001 as wall time, 31 years of uptime) are taken for wall time.
const WALL_TIME_NS: i64 = 1_000_000_000_000_000_000;

/// What stands for "not known" in the anchor's error: a day.
const UNKNOWN_ERR_NS: i64 = 86_400_000_000_000;

/// An anchor for a recording that has none. It is an estimate: `session.json` has to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstimatedTime {
    /// UTC minus the clock of the stamps. Its error is not known; a day stands for that.
    pub anchor: Anchor,
    /// What it rests on.
    pub basis: TimeBasis,
    /// The earliest stamp of the files.
    pub first_ns: i64,
    /// The latest stamp of the files.
    pub last_ns: i64,
}

/// What an estimate of a recording's time rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBasis {
    /// The session's name is the time at which it began.
    SessionName,
    /// The last stamp was written when its file was last modified.
    FileModified,
    /// The stamps are wall time already.
    Stamps,
}

/// Estimates the anchor of recordings: the session begins at the time that its name tells, else the latest stamp is
/// as old as the last change of its file.
///
/// # Errors
/// When a file cannot be opened, or no line of any has a stamp.
pub fn estimate_time(files: &[PathBuf], session: &str) -> Result<EstimatedTime, ImportError> {
    let mut ranges = Vec::new();
    for file in files {
        if let Some((first, last)) = stamp_range(file)? {
            ranges.push((first, last, file.as_path()));
        }
    }
    let first = ranges.iter().map(|r| r.0).min();
    let last = ranges.iter().max_by_key(|r| r.1);
    let (Some(first_ns), Some(&(_, last_ns, last_file))) = (first, last) else {
        let file = files.first().cloned().unwrap_or_default();
        return Err(ImportError::Nothing { file });
    };
    let (offset, basis) = if first_ns >= WALL_TIME_NS {
        (0, TimeBasis::Stamps)
    } else if let Some(began) = session_time_ns(session) {
        (began.saturating_sub(first_ns), TimeBasis::SessionName)
    } else {
        (modified_ns(last_file)?.saturating_sub(last_ns), TimeBasis::FileModified)
    };
    let anchor = Anchor { utc_minus_monotonic_ns: offset, err_ns: UNKNOWN_ERR_NS };
    Ok(EstimatedTime { anchor, basis, first_ns, last_ns })
}

/// The earliest and the latest stamp of a file.
fn stamp_range(file: &Path) -> Result<Option<(i64, i64)>, ImportError> {
    #[derive(Deserialize)]
    struct Stamp {
        ts_ns: i64,
    }
    let mut lines = Lines::open(file)?;
    let mut range: Option<(i64, i64)> = None;
    // Bad lines, and the end of a damaged file, are the import's to report.
    while let Ok(Some((_, text))) = lines.next() {
        if let Ok(Stamp { ts_ns: ts_ns @ 0.. }) = serde_json::from_slice(text) {
            let (first, last) = range.unwrap_or((ts_ns, ts_ns));
            range = Some((first.min(ts_ns), last.max(ts_ns)));
        }
    }
    Ok(range)
}

/// The time that a name like `2025-11-11T14-30-00Z` begins with, in UTC.
fn session_time_ns(name: &str) -> Option<i64> {
    let (date, time) = name.get(..20)?.split_once('T')?;
    let text = format!("{date}T{}", time.replace('-', ":"));
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

fn modified_ns(file: &Path) -> Result<i64, ImportError> {
    let modified =
        std::fs::metadata(file).and_then(|m| m.modified()).map_err(|e| ImportError::io(file, e))?;
    Ok(modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn names_that_are_times() {
        assert_eq!(session_time_ns("1970-01-01T00-00-05Z"), Some(5_000_000_000));
        assert_eq!(session_time_ns("1970-01-01T00-00-05Z-again"), Some(5_000_000_000));
        for name in ["dev", "2025-11-11T14-30-00", "2025-13-11T14-30-00Z", "2025-11-11 14-30-00Z"] {
            assert_eq!(session_time_ns(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_goes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, modified_s| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(modified_s)).unwrap();
            path
        };
        let a = write("a", "{\"ts_ns\":3000}\nnonsense\n{\"ts_ns\":9000,\"source\":1}\n", 100);
        let b = write("b", "{\"ts_ns\":2000}\n{\"ts_ns\":-1}\n{\"ts_ns\":4000}\n", 900);
        let files = [a, b];

        let named = estimate_time(&files, "1970-01-01T00-00-01Z").unwrap();
        assert_eq!((named.first_ns, named.last_ns), (2000, 9000));
        assert_eq!(named.basis, TimeBasis::SessionName);
        assert_eq!(named.anchor.ts(2000), 1_000_000_000);

        let dated = estimate_time(&files, "dev").unwrap();
        assert_eq!(dated.basis, TimeBasis::FileModified);
        assert_eq!(dated.anchor.ts(9000), 100_000_000_000);

        let wall = write("wall", "{\"ts_ns\":1762871400000000000}", 1);
        let wall = estimate_time(&[wall], "1970-01-01T00-00-01Z").unwrap();
        assert_eq!((wall.basis, wall.anchor.utc_minus_monotonic_ns), (TimeBasis::Stamps, 0));

        let none = write("none", "nothing\n", 1);
        assert!(matches!(estimate_time(&[none], "dev"), Err(ImportError::Nothing { .. })));
    }
}
