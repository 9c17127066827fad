//! Marks of a session and the steps of its flow.

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::cells::Cells;
use super::options::Step;
use super::time::{ms, ms_opt};

/// Marks kept at most.
const MARKS: usize = 10_000;

/// One row of table `marks`.
#[derive(Debug, Clone)]
struct Mark {
    ts_ns: i64,
    name: String,
    kind: String,
    attrs: Value,
}

/// Begin and end of a step, as far as they were seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    begin_ns: i64,
    end_ns: Option<i64>,
}

/// What a step cost between its begin and its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Mean latency of its frames.
    pub latency_ms: Option<f64>,
    /// Energy of the board.
    pub energy_j: Option<f64>,
    /// Frames.
    pub frames: Option<u64>,
}

/// The marks of a session, sorted by time.
#[derive(Debug, Clone, Default)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// Takes rows of table `marks`.
    pub fn push(&mut self, rows: &RecordBatch) {
        let cells = Cells(rows);
        for (row, ts_ns) in cells.ts().iter().enumerate() {
            let kind = cells.text("kind", row).unwrap_or("point");
            let attrs = cells.text("attrs", row).and_then(|text| serde_json::from_str(text).ok());
            self.0.push(Mark {
                ts_ns: *ts_ns,
                name: cells.text("name", row).unwrap_or_default().into(),
                kind: if ["begin", "end"].contains(&kind) { kind } else { "point" }.into(),
                attrs: attrs.unwrap_or_else(|| json!({})),
            });
        }
        self.0.sort_by_key(|mark| mark.ts_ns);
        let surplus = self.0.len().saturating_sub(MARKS);
        self.0.drain(..surplus);
    }

    /// The shape **marks**, with the steps of a flow; `cost` is asked for each step that has ended.
    pub fn json(&self, steps: &[Step], cost: impl Fn(i64, i64) -> Cost) -> Value {
        let marks: Vec<Value> = self
            .0
            .iter()
            .map(|m| json!({"t": ms(m.ts_ns), "name": m.name, "kind": m.kind, "attrs": m.attrs}))
            .collect();
        let steps: Vec<Value> = steps.iter().map(|step| self.step(step, &cost)).collect();
        let flows = match steps.is_empty() {
            true => json!([]),
            false => json!([{ "name": "flow", "steps": steps }]),
        };
        json!({ "marks": marks, "flows": flows })
    }

    fn step(&self, step: &Step, cost: &impl Fn(i64, i64) -> Cost) -> Value {
        let span = self.span(&step.name);
        let cost = match span {
            Some(Span { begin_ns, end_ns: Some(end_ns) }) => cost(begin_ns, end_ns),
            _ => Cost::default(),
        };
        let met = step.target_ms.zip(cost.latency_ms).map(|(target, latency)| latency <= target);
        json!({
            "name": step.name,
            "begin": ms_opt(span.map(|s| s.begin_ns)),
            "end": ms_opt(span.and_then(|s| s.end_ns)),
            "latency_ms": cost.latency_ms, "target_ms": step.target_ms, "met": met,
            "energy_j": cost.energy_j, "frames": cost.frames,
        })
    }

    /// The last time that a step was gone through.
    fn span(&self, name: &str) -> Option<Span> {
        let begin = self.0.iter().rposition(|m| m.name == name && m.kind == "begin")?;
        let end = self.0[begin..].iter().find(|m| m.name == name && m.kind == "end");
        Some(Span { begin_ns: self.0[begin].ts_ns, end_ns: end.map(|m| m.ts_ns) })
    }
}
