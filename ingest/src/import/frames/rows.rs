//! From frame logs into tables `frames` and `pipeline`.

use std::borrow::Cow;

use bl_schemas::Table;
use bl_store::{ColumnIndex, Rows};

use super::events::FrameEvents;
use super::{Frame, FrameLog, FrameLogFormat, readings};
use crate::import::delivery::{deliver, deliver_batch};
use crate::import::{ImportError, ImportReport};
use crate::source::Sink;

/// Appends a log's frames to tables `frames` and `pipeline`, and its readings to theirs; `first_ts` (ns, UTC) is the time
/// of its first frame.
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
    rows.several_streams = log.streams().len() > 1;
    for frame in &log.frames {
        rows.push(frame);
        deliver_batch(&mut rows.rows, sink, report)?;
        deliver_batch(&mut rows.events.rows, sink, report)?;
    }
    rows.deliver(sink, report)?;
    readings::import(log, first_ts, sink, report)
}

/// Rows of tables `frames` and `pipeline`, of one log.
#[derive(Debug)]
pub struct FrameRows {
    source: &'static str,
    log: String,
    first_ts: i64,
    frames: i64,
    /// The log has several streams of frames: each is a pipeline of its own.
    several_streams: bool,
    columns: Columns,
    rows: Rows,
    events: FrameEvents,
}

#[derive(Debug)]
struct Columns {
    application: ColumnIndex,
    pid: ColumnIndex,
    swapchain: ColumnIndex,
    log: ColumnIndex,
    frame: ColumnIndex,
    frametime_ms: ColumnIndex,
    display_ms: ColumnIndex,
    cpu_busy_ms: ColumnIndex,
    gpu_busy_ms: ColumnIndex,
    latency_ms: ColumnIndex,
    display_latency_ms: ColumnIndex,
    animation_error_ms: ColumnIndex,
    click_to_photon_ms: ColumnIndex,
    dropped: ColumnIndex,
    attrs: ColumnIndex,
}

impl Columns {
    fn of(rows: &Rows) -> Self {
        Self {
            application: rows.column("application"),
            pid: rows.column("pid"),
            swapchain: rows.column("swapchain"),
            log: rows.column("log"),
            frame: rows.column("frame"),
            frametime_ms: rows.column("frametime_ms"),
            display_ms: rows.column("display_ms"),
            cpu_busy_ms: rows.column("cpu_busy_ms"),
            gpu_busy_ms: rows.column("gpu_busy_ms"),
            latency_ms: rows.column("latency_ms"),
            display_latency_ms: rows.column("display_latency_ms"),
            animation_error_ms: rows.column("animation_error_ms"),
            click_to_photon_ms: rows.column("click_to_photon_ms"),
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
            several_streams: false,
            columns: Columns::of(&rows),
            rows,
            events: FrameEvents::new(format.source()),
        }
    }

    /// Adds the log's next frame.
    pub fn push(&mut self, frame: &Frame) {
        let (rows, columns) = (&mut self.rows, &self.columns);
        let ts = self.first_ts.saturating_add(frame.at_ns);
        rows.begin(ts, self.source);
        rows.str(columns.application, frame.stream.application.as_deref());
        rows.i64(columns.pid, frame.stream.pid);
        rows.str(columns.swapchain, frame.stream.swapchain.as_deref());
        rows.str(columns.log, self.log.as_str());
        rows.i64(columns.frame, self.frames);
        rows.f64(columns.frametime_ms, frame.frametime_ms);
        rows.f64(columns.display_ms, frame.display_ms);
        rows.f64(columns.cpu_busy_ms, frame.cpu_busy_ms);
        rows.f64(columns.gpu_busy_ms, frame.gpu_busy_ms);
        rows.f64(columns.latency_ms, frame.latency_ms);
        rows.f64(columns.display_latency_ms, frame.display_latency_ms);
        rows.f64(columns.animation_error_ms, frame.animation_error_ms);
        rows.f64(columns.click_to_photon_ms, frame.click_to_photon_ms);
        rows.bool(columns.dropped, frame.dropped);
        rows.str(columns.attrs, frame.attrs.as_deref());
        let pipeline = match self.several_streams {
            true => Cow::Owned(format!("{} ({})", self.log, frame.stream)),
            false => Cow::Borrowed(self.log.as_str()),
        };
        self.events.push(ts, &pipeline, self.frames, frame);
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
pub(super) fn table(name: &str) -> &'static Table {
    // The tables are compiled in, and a test of theirs parses them all.
    bl_schemas::table(name).expect("a table of that name")
}
