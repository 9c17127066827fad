//! Frames of imported frame logs, as the logs tell them.

use arrow::array::{Array, AsArray};
use bl_query::{Batches, Query};
use bl_store::Session;

use super::{CxError, Frame, Report, rows};

pub(super) struct LogFrames {
    /// Name of the application, where the log tells it.
    pub application: Option<String>,
    session: String,
    log: String,
    batches: Batches,
    /// Frames without a frame time, or with one that is not above 0.
    timeless: u64,
    /// Frames of which the log does not tell whether they were shown.
    untold: u64,
    /// What is said of frames of other streams, if there are any.
    left_out: Option<String>,
}

/// The streams of a log's frames: a log may hold those of several processes and swap chains. CapFrameX keeps the
/// dominant one of a CSV, and so does an export.
struct Streams {
    /// The program of the stream with the most frames.
    application: Option<String>,
    /// That stream, as a condition in SQL.
    condition: String,
    left_out: Option<String>,
}

impl Streams {
    async fn of(query: &Query, frames: &str) -> Result<Self, CxError> {
        let sql = format!(
            "SELECT application, CAST(pid AS VARCHAR) AS pid, swapchain, count(*) AS n, min(frame) AS first_frame \
             {frames} GROUP BY application, pid, swapchain ORDER BY n DESC, first_frame"
        );
        let mut batches = rows::ask(query, &sql).await?;
        let mut dominant: Option<([Option<String>; 3], i64)> = None;
        let (mut others, mut other_frames) = (0, 0);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let texts = [0, 1, 2].map(|column| rows::texts(&batch, column));
            let [application, pid, swapchain] = texts;
            let names = [application?, pid?, swapchain?];
            let counts = rows::integers(&batch, 3)?;
            for row in 0..batch.num_rows() {
                if dominant.is_some() {
                    (others, other_frames) = (others + 1, other_frames + counts.value(row));
                    continue;
                }
                let name = |of: &arrow::array::StringArray| {
                    of.is_valid(row).then(|| of.value(row).to_string())
                };
                dominant = Some((names.each_ref().map(name), counts.value(row)));
            }
        }
        let (names, frames) = dominant.unwrap_or_default();
        let [application, pid, swapchain] = &names;
        let is = |column: &str, value: Option<String>| match value {
            Some(value) => format!("{column} = {value}"),
            None => format!("{column} IS NULL"),
        };
        let text = |name: &Option<String>| name.as_deref().map(rows::literal);
        let condition = [
            is("application", text(application)),
            is("pid", pid.clone()),
            is("swapchain", text(swapchain)),
        ];
        let shown = names.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        let left_out = (others > 0).then(|| {
            format!(
                "the log has {} streams of frames; {shown} has the most ({frames}) and is in the file, {other_frames} \
                 frames of the others are not",
                others + 1
            )
        });
        Ok(Self { application: application.clone(), condition: condition.join(" AND "), left_out })
    }
}

impl LogFrames {
    /// Opens the log of that name, or the only one.
    pub async fn open(
        query: &Query,
        session: &Session,
        log: Option<&str>,
    ) -> Result<Self, CxError> {
        let session = session.id().to_string();
        let logs = rows::names(query, "SELECT DISTINCT log FROM frames ORDER BY log").await?;
        let log = match (log, &logs[..]) {
            (_, []) => {
                let why = "it has no imported frame log; bring one in with `bl import`".into();
                return Err(CxError::NoFrames { session, why });
            }
            (Some(log), _) if logs.iter().any(|name| name.as_deref() == Some(log)) => {
                log.to_string()
            }
            (Some(log), _) => {
                let why = format!("it has no frame log {log:?}, but {}", rows::listed(&logs));
                return Err(CxError::NoFrames { session, why });
            }
            (None, [only]) => only.clone().unwrap_or_default(),
            (None, _) => {
                let (what, flag) = ("frame logs", "--log");
                return Err(CxError::Several { session, what, names: rows::listed(&logs), flag });
            }
        };
        let of = format!("FROM frames WHERE coalesce(log, '') = {}", rows::literal(&log));
        let Streams { application, condition, left_out } = Streams::of(query, &of).await?;
        let sql = format!(
            "SELECT ts, frametime_ms, display_ms, latency_ms, dropped {of} AND {condition} ORDER BY ts, frame"
        );
        let batches = rows::ask(query, &sql).await?;
        Ok(Self { application, session, log, batches, timeless: 0, untold: 0, left_out })
    }

    pub async fn next(&mut self, frames: &mut Vec<Frame>) -> Result<bool, CxError> {
        while frames.is_empty() {
            let Some(batch) = self.batches.next().await else { return Ok(false) };
            let batch = batch?;
            let ts_ns = rows::instants(&batch, 0)?;
            let [frame_ms, display_ms, latency_ms] = [1, 2, 3].map(|i| rows::floats(&batch, i));
            let (frame_ms, display_ms, latency_ms) = (frame_ms?, display_ms?, latency_ms?);
            let dropped = batch.column(4).as_boolean();
            for (row, &ts_ns) in ts_ns.iter().enumerate() {
                let ns = |ms: &arrow::array::Float64Array| {
                    ms.is_valid(row).then(|| nanoseconds(ms.value(row))).flatten()
                };
                let Some(frame_ns) = ns(&frame_ms) else {
                    self.timeless += 1;
                    continue;
                };
                self.untold += u64::from(dropped.is_null(row));
                frames.push(Frame {
                    ts_ns,
                    frame_ns,
                    display_ns: ns(&display_ms).unwrap_or(frame_ns),
                    latency_ns: ns(&latency_ms),
                    dropped: dropped.is_valid(row) && dropped.value(row),
                });
            }
        }
        Ok(true)
    }

    pub fn finish(&self, report: &mut Report) -> Result<(), CxError> {
        let Self { session, log, timeless, untold, .. } = self;
        if report.frames == 0 {
            let why = format!("no frame of {log} has a frame time above 0");
            return Err(CxError::NoFrames { session: session.clone(), why });
        }
        report.notes.extend(self.left_out.clone());
        if *timeless > 0 {
            report
                .notes
                .push(format!("{timeless} frames without a frame time above 0 were left out"));
        }
        if *untold > 0 {
            report.notes.push(format!(
                "{log} does not tell of {untold} frames whether they were shown: they are not marked as dropped"
            ));
        }
        Ok(())
    }
}

/// Milliseconds above 0 as nanoseconds.
fn nanoseconds(ms: f64) -> Option<i64> {
    let ns = (ms * 1e6).round();
    (ns >= 1.0 && ns < i64::MAX as f64).then_some(ns as i64)
}
