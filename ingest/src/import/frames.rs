//! Frame logs: what they have in common.

mod events;
mod frame;
mod readings;
mod rows;

use std::path::Path;

use serde_json::{Map, Value};

use super::lines::Lines;
use super::{Content, ImportError, ImportReport, capframex, mangohud, presentmon};

pub use frame::{Frame, ProcessChoice, Stream};
pub use readings::Reading;
pub use rows::{FrameRows, import_frames};

/// Which tool wrote a frame log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameLogFormat {
    /// CSV of MangoHud, or of mangoapp.
    MangoHud,
    /// CSV of PresentMon 1.x or 2.x, and of tools that write its columns.
    PresentMon,
    /// JSON of CapFrameX.
    CapFrameX,
}

impl FrameLogFormat {
    /// What rows of such a log carry in `source`.
    pub fn source(self) -> &'static str {
        match self {
            FrameLogFormat::MangoHud => "mangohud",
            FrameLogFormat::PresentMon => "presentmon",
            FrameLogFormat::CapFrameX => "capframex",
        }
    }
}

/// How a frame log is read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The tool that wrote it; without one it is told from the file's contents.
    pub format: Option<FrameLogFormat>,
    /// The process whose frames are taken; without one, all are.
    pub process: Option<ProcessChoice>,
    /// Ticks a second of the performance counter that the log's times count, where it does not tell.
    pub qpc_hz: Option<f64>,
}

/// When a log's first frame was, as far as the log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Began {
    /// Nanoseconds, UTC.
    pub ns: i64,
    /// By how much that may be wrong, in nanoseconds.
    pub err_ns: i64,
    /// What tells it.
    pub from: &'static str,
}

/// A frame log that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameLog {
    /// The tool that wrote it.
    pub format: FrameLogFormat,
    /// The file's name.
    pub log: String,
    /// What tells the file from any other.
    pub content: Content,
    /// Its frames in order of their presents.
    pub frames: Vec<Frame>,
    /// From its first present to its last, also of processes that were not taken.
    pub length_ns: i64,
    /// When it began, where the log tells.
    pub began: Option<Began>,
    /// What it tells about the game and the system: texts by the tool's own names.
    pub info: Map<String, Value>,
    /// What it holds beside its frames.
    pub readings: Vec<Reading>,
}

/// What is in a frame log, as its reader finds it.
pub(super) struct LogContents {
    pub frames: Vec<Frame>,
    pub began: Option<Began>,
    pub info: Map<String, Value>,
    pub readings: Vec<Reading>,
}

impl FrameLog {
    /// Its streams of frames and how many frames each has, first the one with the most, which is the one that
    /// CapFrameX shows.
    pub fn streams(&self) -> Vec<(Stream, usize)> {
        frame::streams(&self.frames)
    }

    /// The share of the log's time that its frames' times make up, in its first stream. Well below 1, the log has samples
    /// and not every frame (MangoHud with a `log_interval` above 0). `None` where it cannot be told.
    pub fn coverage(&self) -> Option<f64> {
        let (stream, _) = self.streams().swap_remove(0);
        let mut of_stream = self.frames.iter().filter(|frame| frame.stream == stream);
        let first_ns = of_stream.next()?.at_ns;
        let (mut last_ns, mut frames_ms) = (first_ns, 0.0);
        for frame in of_stream {
            last_ns = frame.at_ns;
            frames_ms += frame.frametime_ms.unwrap_or_default();
        }
        let span_ms = last_ns.saturating_sub(first_ns) as f64 / 1e6;
        (span_ms > 0.0 && frames_ms > 0.0).then_some(frames_ms / span_ms)
    }
}

/// Reads a frame log; bad lines are in the report.
///
/// # Errors
/// When the file cannot be read, is no such log, does not tell when its frames were, or has none of the process that is
/// asked for, with file and line.
pub fn read_frame_log(
    file: &Path,
    options: &ReadOptions,
) -> Result<(FrameLog, ImportReport), ImportError> {
    let format = match options.format {
        Some(format) => format,
        None => detect(file)?,
    };
    let content = Content::of(file)?;
    let mut report = ImportReport { files: 1, ..ImportReport::default() };
    let contents = match format {
        FrameLogFormat::MangoHud => mangohud::read(file, &mut report)?,
        FrameLogFormat::PresentMon => presentmon::read(file, options, &mut report)?,
        FrameLogFormat::CapFrameX => capframex::read(file, &mut report)?,
    };
    let LogContents { mut frames, began, info, readings } = contents;
    let first_bad = report.bad_lines.first().map(|bad| format!("; line {}: {}", bad.line, bad.why));
    if frames.is_empty() {
        let what = format!("the log has no frame{}", first_bad.unwrap_or_default());
        return Err(ImportError::format(file, report.lines, what));
    }
    let length_ns = frames.iter().map(|frame| frame.at_ns).max().unwrap_or_default();
    if let Some(process) = &options.process {
        report.left_out = choose(file, process, &mut frames)?;
    }
    // Tools write a frame when it is displayed, and streams one after the other.
    frames.sort_by_key(|frame| frame.at_ns);
    let log = log_name(file);
    Ok((FrameLog { format, log, content, frames, length_ns, began, info, readings }, report))
}

/// Keeps the frames of one process; tells how many others there were.
fn choose(
    file: &Path,
    process: &ProcessChoice,
    frames: &mut Vec<Frame>,
) -> Result<u64, ImportError> {
    let all = frames.len();
    let there = frame::streams(frames);
    frames.retain(|frame| process.takes(&frame.stream));
    if frames.is_empty() {
        let mut names: Vec<String> = there.iter().map(|(stream, _)| stream.to_string()).collect();
        names.sort_unstable();
        let what =
            format!("the log has no frame of process {process}, but of {}", names.join(", "));
        return Err(ImportError::format(file, 1, what));
    }
    Ok((all - frames.len()) as u64)
}

/// What a log is called in column `log`.
pub(super) fn log_name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// Which tool wrote a file.
fn detect(file: &Path) -> Result<FrameLogFormat, ImportError> {
    /// Lines before the header: CapFrameX has up to twenty.
    const LOOK_AT: u64 = 30;
    let mut lines = Lines::open(file)?;
    while let Some((number, text)) = lines.next().map_err(|e| ImportError::io(file, e))? {
        if text.trim_ascii_start().starts_with(b"{") {
            return Ok(FrameLogFormat::CapFrameX);
        }
        let text = String::from_utf8_lossy(text);
        if mangohud::is_header(&text) {
            return Ok(FrameLogFormat::MangoHud);
        }
        if presentmon::is_header(&text) {
            return Ok(FrameLogFormat::PresentMon);
        }
        if number == LOOK_AT {
            break;
        }
    }
    let what = "neither a MangoHud nor a PresentMon header, nor JSON of CapFrameX; if it is one of them, say which";
    Err(ImportError::format(file, 1, what))
}

#[cfg(test)]
mod tests;
