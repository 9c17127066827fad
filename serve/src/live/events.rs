//! Stage events of the last moments, for the pairing view.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use serde_json::{Map, Value, json};

use super::cells::Cells;
use super::time::ms;

/// How long they are kept.
const KEPT_NS: i64 = 2_000_000_000;
/// How many are kept at most.
const EVENTS: usize = 20_000;

/// A row of table `pipeline`.
#[derive(Debug, Clone)]
pub(super) struct StageEvent {
    ts_ns: i64,
    stage: String,
    frame: Option<i64>,
    key_ns: Option<i64>,
}

/// The last events, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct StageEvents {
    kept: VecDeque<StageEvent>,
    new: Vec<StageEvent>,
}

impl StageEvents {
    /// Takes rows of table `pipeline`.
    pub fn push(&mut self, rows: &RecordBatch) {
        let cells = Cells(rows);
        let first = cells.rows().saturating_sub(EVENTS);
        self.new.extend((first..cells.rows()).map(|row| StageEvent {
            ts_ns: cells.ts()[row],
            stage: cells.text("stage", row).unwrap_or_default().into(),
            frame: cells.int("frame", row),
            key_ns: cells.int("key_ns", row),
        }));
    }

    /// What came since the last call; older events are forgotten.
    pub fn news(&mut self, now_ns: i64) -> Vec<StageEvent> {
        let new = std::mem::take(&mut self.new);
        self.kept.extend(new.iter().cloned());
        let surplus = self.kept.len().saturating_sub(EVENTS);
        self.kept.drain(..surplus);
        self.kept.retain(|event| event.ts_ns >= now_ns - KEPT_NS);
        new
    }

    /// Those from `from_ns` on.
    pub fn since(&self, from_ns: i64) -> Vec<StageEvent> {
        self.kept.iter().filter(|event| event.ts_ns >= from_ns).cloned().collect()
    }
}

/// The shape **events**, sorted by time.
pub(super) fn events_json(events: &[StageEvent]) -> Value {
    let mut sorted: Vec<&StageEvent> = events.iter().collect();
    sorted.sort_by_key(|event| event.ts_ns);
    let mut stages: Vec<&str> = Vec::new();
    let mut stage = Vec::with_capacity(sorted.len());
    for event in &sorted {
        let place = stages.iter().position(|s| *s == event.stage).unwrap_or_else(|| {
            stages.push(&event.stage);
            stages.len() - 1
        });
        stage.push(place);
    }
    let column =
        |f: &dyn Fn(&StageEvent) -> Value| -> Value { sorted.iter().map(|e| f(e)).collect() };
    let mut out = Map::new();
    out.insert("stages".into(), json!(stages));
    out.insert("t".into(), column(&|e| json!(ms(e.ts_ns))));
    out.insert("stage".into(), json!(stage));
    out.insert("frame".into(), column(&|e| json!(e.frame)));
    out.insert("key_ns".into(), column(&|e| json!(e.key_ns)));
    Value::Object(out)
}
