//! A MangoHud log, followed while the game writes it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bl_store::clock::realtime_ns;
use bl_store::{Reason, health_row};

use super::frames::log_name;
use super::mangohud::Log;
use super::{Frame, FrameLogFormat, FrameRows, ImportError, ImportReport};
use crate::source::{Sink, Stop};

/// Time between two looks at a log.
const LOOK_NS: i64 = 50_000_000;

/// Appends the frames of a growing MangoHud log to tables `frames` and `pipeline`, until it is told to stop.
///
/// `first_ts` (ns, UTC) is the time of the log's first frame. Without it, the newest of the frames that are there at the
/// first look is taken to be from right now, as it is while the game runs: a log tells no time of its own.
///
/// What was done, up to a failure too, is in `report`; lines that are bad are told in `health` as well.
///
/// # Errors
/// When the log cannot be read, is written anew or removed, or the store takes nothing.
pub fn follow_mangohud(
    file: &Path,
    first_ts: Option<i64>,
    sink: &dyn Sink,
    stop: &Stop,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    let mut follow = FollowMangoHud::open(file)?;
    let mut delivered = ImportReport::default();
    let mut rows: Option<FrameRows> = None;
    loop {
        // What was written before the stop still counts.
        let stopping = stop.stopping();
        let bad_before = follow.report.bad;
        let outcome = follow.frames().and_then(|frames| {
            let Some(newest) = frames.last() else { return Ok(()) };
            let rows = rows.get_or_insert_with(|| {
                let first_ts =
                    first_ts.unwrap_or_else(|| realtime_ns().saturating_sub(newest.at_ns));
                FrameRows::new(FrameLogFormat::MangoHud, &follow.log_name(), first_ts)
            });
            frames.iter().for_each(|frame| rows.push(frame));
            rows.deliver(sink, &mut delivered)
        });
        follow.tell_bad(sink, bad_before);
        *report = ImportReport { rows: delivered.rows.clone(), ..follow.report.clone() };
        outcome?;
        if stopping {
            return Ok(());
        }
        stop.sleep_ns(LOOK_NS);
    }
}

/// Follows a log that MangoHud is writing.
#[derive(Debug)]
pub struct FollowMangoHud {
    path: PathBuf,
    file: File,
    log: Log,
    number: u64,
    /// The beginning of a line whose end has not been written yet.
    carry: Vec<u8>,
    read_bytes: u64,
    /// What was bad so far.
    pub report: ImportReport,
}

impl FollowMangoHud {
    /// Opens a log; what is in it already comes first.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let io = |e| ImportError::io(path, e);
        // To open a pipe would wait for whoever writes it, for ever perhaps.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(ImportError::format(path, 0, "it is no file, and only files are followed"));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file: File::open(path).map_err(io)?,
            log: Log::new(path),
            number: 0,
            carry: Vec::new(),
            read_bytes: 0,
            report: ImportReport { files: 1, ..ImportReport::default() },
        })
    }

    /// Writes a row of `health` if lines were bad since there were `before` of them.
    fn tell_bad(&self, sink: &dyn Sink, before: u64) {
        let (Some(table), count @ 1..) = (bl_schemas::table("health"), self.report.bad - before)
        else {
            return;
        };
        let log = self.log_name();
        let detail = match self.report.bad_lines.last() {
            Some(line) => format!("{log}, such as line {}: {}", line.line, line.why),
            None => log,
        };
        let now = sink.anchor().now();
        let row = health_row(table, now, "mangohud", Reason::Malformed, count, &detail);
        // What a full store cannot take is in the report all the same.
        let _ = sink.append(table, row);
    }

    /// What the log is called in column `log`.
    pub fn log_name(&self) -> String {
        log_name(&self.path)
    }

    /// The frames that were written since the last call; never waits. Call it every few milliseconds: nothing is
    /// lost in between.
    ///
    /// # Errors
    /// When the log cannot be read, is none of MangoHud, has become shorter, or has been removed.
    pub fn frames(&mut self) -> Result<Vec<Frame>, ImportError> {
        let io = |e| ImportError::io(&self.path, e);
        let state = self.file.metadata().map_err(io)?;
        if state.len() < self.read_bytes {
            let what = "the log has become shorter: it is being written anew; follow it again";
            return Err(ImportError::format(&self.path, self.number, what));
        }
        let is_removed = state.nlink() == 0;
        let read = self.file.read_to_end(&mut self.carry).map_err(io)?;
        self.read_bytes += read as u64;
        let text = std::mem::take(&mut self.carry);
        let mut rows = Vec::new();
        let mut rest = &text[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.number += 1;
            rows.extend(self.log.line(&rest[..end], self.number, &mut self.report)?);
            rest = &rest[end + 1..];
        }
        self.carry = rest.to_vec();
        let frames = self.log.frames(rows)?;
        if is_removed && frames.is_empty() {
            let what = "the log has been removed; what was in it is recorded";
            return Err(ImportError::format(&self.path, self.number, what));
        }
        Ok(frames)
    }
}
