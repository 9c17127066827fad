//! Frame logs: what they have in common, and their way into tables `frames` and `pipeline`.

mod events;

use std::path::Path;
use std::sync::Arc;

use bl_schemas::Table;
use bl_store::{ColumnIndex, Rows};

use super::delivery::{deliver, deliver_batch};
use super::lines::Lines;
use super::{ImportError, ImportReport, capframex, mangohud, presentmon};
use crate::source::Sink;

use events::FrameEvents;

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

/// A frame log that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameLog {
    /// The tool that wrote it.
    pub format: FrameLogFormat,
    /// The file's name.
    pub log: String,
    /// Its frames in the order of the log.
    pub frames: Vec<Frame>,
    /// When it began (ns, UTC), where the log tells.
    pub began_ns: Option<i64>,
}

impl FrameLog {
    /// The share of the log's time that its frames' times make up. Well below 1, the log has samples and not every
    /// frame (MangoHud with a `log_interval` above 0). `None` where it cannot be told.
    pub fn coverage(&self) -> Option<f64> {
        let (first, last) = (self.frames.first()?, self.frames.last()?);
        let span_ms = last.at_ns.saturating_sub(first.at_ns) as f64 / 1e6;
        let frames_ms: f64 = self.frames[1..].iter().filter_map(|f| f.frametime_ms).sum();
        (span_ms > 0.0 && frames_ms > 0.0).then_some(frames_ms / span_ms)
    }
}

/// One frame of a log. What the log does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// Its present, since that of the log's first frame.
    pub at_ns: i64,
    /// The program that it is of.
    pub application: Option<Arc<str>>,
    /// Time since the frame before.
    pub frametime_ms: Option<f64>,
    /// Time between display changes.
    pub display_ms: Option<f64>,
    /// Time the processor worked on it.
    pub cpu_busy_ms: Option<f64>,
    /// Time the graphics card worked on it.
    pub gpu_busy_ms: Option<f64>,
    /// Time until it was displayed.
    pub latency_ms: Option<f64>,
    /// Whether it was never shown.
    pub dropped: Option<bool>,
    /// The log's other columns, the text of a JSON object.
    pub attrs: Option<String>,
}

/// Reads a frame log; bad lines are in the report. Without `format` it is told from the file's contents.
///
/// # Errors
/// When the file cannot be read or is no such log, with file and line.
pub fn read_frame_log(
    file: &Path,
    format: Option<FrameLogFormat>,
) -> Result<(FrameLog, ImportReport), ImportError> {
    let format = match format {
        Some(format) => format,
        None => detect(file)?,
    };
    let mut report = ImportReport { files: 1, ..ImportReport::default() };
    let (frames, began_ns) = match format {
        FrameLogFormat::MangoHud => (mangohud::read(file, &mut report)?, None),
        FrameLogFormat::PresentMon => (presentmon::read(file, &mut report)?, None),
        FrameLogFormat::CapFrameX => capframex::read(file, &mut report)?,
    };
    if frames.is_empty() {
        return Err(ImportError::format(file, report.lines, "the log has no frame"));
    }
    Ok((FrameLog { format, log: log_name(file), frames, began_ns }, report))
}

/// What a log is called in column `log`.
pub(super) fn log_name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// Which tool wrote a file.
fn detect(file: &Path) -> Result<FrameLogFormat, ImportError> {
    /// Lines before the header: MangoHud has up to six.
    const LOOK_AT: u64 = 20;
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

/// Appends a log's frames to tables `frames` and `pipeline`; `first_ts` (ns, UTC) is the time of its first frame.
///
/// # Errors
/// When the store takes nothing.
pub fn import_frames(
    log: &FrameLog,
    first_ts: i64,
    sink: &dyn Sink,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    let mut rows = FrameRows::new(log.format, &log.log, first_ts);
    for frame in &log.frames {
        rows.push(frame);
        deliver_batch(&mut rows.rows, sink, report)?;
        deliver_batch(&mut rows.events.rows, sink, report)?;
    }
    rows.deliver(sink, report)
}

/// Rows of tables `frames` and `pipeline`, of one log.
#[derive(Debug)]
pub struct FrameRows {
    source: &'static str,
    log: String,
    first_ts: i64,
    frames: i64,
    columns: Columns,
    rows: Rows,
    events: FrameEvents,
}

#[derive(Debug)]
struct Columns {
    application: ColumnIndex,
    log: ColumnIndex,
    frame: ColumnIndex,
    frametime_ms: ColumnIndex,
    display_ms: ColumnIndex,
    cpu_busy_ms: ColumnIndex,
    gpu_busy_ms: ColumnIndex,
    latency_ms: ColumnIndex,
    dropped: ColumnIndex,
    attrs: ColumnIndex,
}

impl Columns {
    fn of(rows: &Rows) -> Self {
        Self {
            application: rows.column("application"),
            log: rows.column("log"),
            frame: rows.column("frame"),
            frametime_ms: rows.column("frametime_ms"),
            display_ms: rows.column("display_ms"),
            cpu_busy_ms: rows.column("cpu_busy_ms"),
            gpu_busy_ms: rows.column("gpu_busy_ms"),
            latency_ms: rows.column("latency_ms"),
            dropped: rows.column("dropped"),
            attrs: rows.column("attrs"),
        }
    }
}

impl FrameRows {
    /// No frame yet of the log of that name; `first_ts` (ns, UTC) is the time of its first frame.
    pub fn new(format: FrameLogFormat, log: &str, first_ts: i64) -> Self {
        let rows = Rows::new(table("frames"));
        Self {
            source: format.source(),
            log: log.into(),
            first_ts,
            frames: 0,
            columns: Columns::of(&rows),
            rows,
            events: FrameEvents::new(format.source(), log),
        }
    }

    /// Adds the log's next frame.
    pub fn push(&mut self, frame: &Frame) {
        let (rows, columns) = (&mut self.rows, &self.columns);
        let ts = self.first_ts.saturating_add(frame.at_ns);
        rows.begin(ts, self.source);
        rows.str(columns.application, frame.application.as_deref());
        rows.str(columns.log, self.log.as_str());
        rows.i64(columns.frame, self.frames);
        rows.f64(columns.frametime_ms, frame.frametime_ms);
        rows.f64(columns.display_ms, frame.display_ms);
        rows.f64(columns.cpu_busy_ms, frame.cpu_busy_ms);
        rows.f64(columns.gpu_busy_ms, frame.gpu_busy_ms);
        rows.f64(columns.latency_ms, frame.latency_ms);
        rows.bool(columns.dropped, frame.dropped);
        rows.str(columns.attrs, frame.attrs.as_deref());
        self.events.push(ts, self.frames, frame);
        self.frames += 1;
    }

    /// Hands the rows to the store.
    ///
    /// # Errors
    /// When it takes nothing.
    pub fn deliver(
        &mut self,
        sink: &dyn Sink,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        deliver(&mut self.rows, sink, report)?;
        deliver(&mut self.events.rows, sink, report)
    }
}

#[allow(clippy::expect_used)]
fn table(name: &str) -> &'static Table {
    // The tables are compiled in, and a test of theirs parses them all.
    bl_schemas::table(name).expect("a table of that name")
}

#[cfg(test)]
mod tests;
