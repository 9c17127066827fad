//! The pairs of two stages: the last 15 minutes, what they cost, and both as JSON.

use std::collections::VecDeque;
use std::sync::Arc;

use bl_align::pair::PairCounts;
use serde_json::{Map, Value, json};

use super::aligner::{PairRow, StagePair, Taken};
use super::kept::ROWS;
use super::log::Draft;
use super::time::{json_number, ms};

/// Upper bounds of the latency histogram, seconds.
pub const LATENCY_BOUNDS_S: [f64; 14] =
    [0.001, 0.002, 0.004, 0.006, 0.008, 0.010, 0.012, 0.016, 0.020, 0.033, 0.050, 0.1, 0.25, 1.0];

/// One pair of stages.
#[derive(Debug, Clone)]
pub struct PairWindow {
    /// `stage_a,stage_b`.
    pub name: Arc<str>,
    /// The last 15 minutes, in the order of their completion.
    pub rows: VecDeque<PairRow>,
    /// Frames of each latency since the session's start: up to each of [`LATENCY_BOUNDS_S`], then above.
    pub buckets: [u64; LATENCY_BOUNDS_S.len() + 1],
    /// Sum of all latencies, seconds.
    pub sum_s: f64,
    /// What became of the events.
    pub counts: PairCounts,
    /// `stage_a` events so far.
    pub begun: u64,
    new: Taken,
}

impl PairWindow {
    pub(super) fn new((a, b): &StagePair) -> Self {
        Self {
            name: format!("{a},{b}").into(),
            rows: VecDeque::new(),
            buckets: Default::default(),
            sum_s: 0.0,
            counts: PairCounts::default(),
            begun: 0,
            new: Taken::default(),
        }
    }

    /// Takes what the aligner found.
    pub(super) fn push(&mut self, taken: Taken) {
        for row in &taken.rows {
            if let Some(latency_ns) = row.latency_ns {
                let seconds = latency_ns as f64 / 1e9;
                self.buckets[LATENCY_BOUNDS_S.partition_point(|bound| *bound < seconds)] += 1;
                self.sum_s += seconds;
            }
        }
        self.rows.extend(taken.rows.iter().copied());
        taken.costs.iter().for_each(|cost| self.amend(cost));
        self.new.rows.extend(taken.rows);
        self.new.costs.extend(taken.costs);
    }

    /// Puts power and energy into the row that they are of, unless it is forgotten already.
    fn amend(&mut self, cost: &PairRow) {
        let is_it = |row: &&mut PairRow| {
            (row.ts_ns, row.frame, row.latency_ns) == (cost.ts_ns, cost.frame, cost.latency_ns)
        };
        // Late power is late by moments: the row is near the end.
        if let Some(row) = self.rows.iter_mut().rev().find(is_it) {
            *row = *cost;
        }
    }

    /// What was pushed since the last call, as messages.
    pub(super) fn news(&mut self) -> Vec<Draft> {
        let Taken { rows, costs } = std::mem::take(&mut self.new);
        let mut out = Vec::new();
        let mut tell = |event, body: Map<String, Value>| {
            out.push((event, Some(Arc::clone(&self.name)), Value::Object(body).to_string()));
        };
        if !rows.is_empty() {
            tell("pairs", pairs_json(&self.name, &rows));
        }
        // What a frame without a latency cost is not shown.
        let costs: Vec<PairRow> =
            costs.into_iter().filter(|row| row.latency_ns.is_some()).collect();
        if !costs.is_empty() {
            tell("costs", costs_json(&self.name, &costs));
        }
        out
    }

    /// Forgets rows before `ts_ns`, and more where there are too many.
    pub(super) fn trim_before(&mut self, ts_ns: i64) {
        let surplus = self.rows.len().saturating_sub(ROWS);
        self.rows.drain(..surplus);
        while self.rows.front().is_some_and(|row| row.ts_ns < ts_ns) {
            self.rows.pop_front();
        }
    }
}

/// The shape **pairs** of `web/API.md`: the rows that reached `stage_b`, then those that were dropped, then those of
/// which nobody can tell, each sorted by time.
pub fn pairs_json(pair: &str, rows: &[PairRow]) -> Map<String, Value> {
    let (mut paired, others): (Vec<&PairRow>, Vec<&PairRow>) =
        rows.iter().partition(|row| row.latency_ns.is_some());
    let (mut ambiguous, mut dropped): (Vec<&PairRow>, Vec<&PairRow>) =
        others.into_iter().partition(|row| row.ambiguous);
    for rows in [&mut paired, &mut dropped, &mut ambiguous] {
        rows.sort_by_key(|row| row.ts_ns);
    }
    let column = |rows: &[&PairRow], f: &dyn Fn(&PairRow) -> Value| -> Value {
        rows.iter().map(|row| f(row)).collect()
    };
    let mut out = Map::new();
    out.insert("pair".into(), json!(pair));
    out.insert("t".into(), column(&paired, &|row| json!(ms(row.ts_ns))));
    out.insert("lat_ms".into(), column(&paired, &|row| json_number(row.latency_ms())));
    out.insert("power_w".into(), column(&paired, &|row| json_number(row.power_w)));
    out.insert("energy_j".into(), column(&paired, &|row| json_number(row.energy_j)));
    out.insert("frame".into(), column(&paired, &|row| json!(row.frame)));
    out.insert("dropped_t".into(), column(&dropped, &|row| json!(ms(row.ts_ns))));
    out.insert("dropped_frame".into(), column(&dropped, &|row| json!(row.frame)));
    out.insert("ambiguous_t".into(), column(&ambiguous, &|row| json!(ms(row.ts_ns))));
    out
}

/// The shape **costs** of `web/API.md`: rows that were sent before, now with their power and energy, sorted by time.
pub fn costs_json(pair: &str, rows: &[PairRow]) -> Map<String, Value> {
    let mut rows: Vec<&PairRow> = rows.iter().collect();
    rows.sort_by_key(|row| row.ts_ns);
    let column =
        |f: &dyn Fn(&PairRow) -> Value| -> Value { rows.iter().map(|row| f(row)).collect() };
    let mut out = Map::new();
    out.insert("pair".into(), json!(pair));
    out.insert("t".into(), column(&|row| json!(ms(row.ts_ns))));
    out.insert("frame".into(), column(&|row| json!(row.frame)));
    out.insert("power_w".into(), column(&|row| json_number(row.power_w)));
    out.insert("energy_j".into(), column(&|row| json_number(row.energy_j)));
    out
}
