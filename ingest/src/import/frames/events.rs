//! Imported frames as stage events, so that all that works on pipelines works on them.

use bl_schemas::FRAME_STAGES;
use bl_store::{ColumnIndex, Rows};

use super::Frame;
use super::rows::table;

/// Rows of table `pipeline`, of one log: a frame starts where the one before was presented, its frame time ago, and
/// ends at its own present. One that was never shown does not end, and so counts as dropped.
#[derive(Debug)]
pub(super) struct FrameEvents {
    source: &'static str,
    pipeline: ColumnIndex,
    stage: ColumnIndex,
    number: ColumnIndex,
    pub rows: Rows,
}

impl FrameEvents {
    pub fn new(source: &'static str) -> Self {
        let rows = Rows::new(table("pipeline"));
        let [pipeline, stage, number] =
            ["pipeline", "stage", "frame"].map(|name| rows.column(name));
        Self { source, pipeline, stage, number, rows }
    }

    /// Adds a frame of a stream that was presented at `ts` (ns, UTC). Without a frame time its start is not known.
    pub fn push(&mut self, ts: i64, pipeline: &str, number: i64, frame: &Frame) {
        let [start, presented] = FRAME_STAGES;
        if let Some(ms) = frame.frametime_ms.filter(|ms| *ms > 0.0) {
            let began = ts.saturating_sub((ms * 1e6).round() as i64);
            self.event(began, pipeline, start, number);
        }
        if frame.dropped != Some(true) {
            self.event(ts, pipeline, presented, number);
        }
    }

    fn event(&mut self, ts: i64, pipeline: &str, stage: &str, number: i64) {
        let rows = &mut self.rows;
        rows.begin(ts, self.source);
        rows.str(self.pipeline, pipeline);
        rows.str(self.stage, stage);
        rows.i64(self.number, number);
    }
}
