//! What is kept of the session that is being recorded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method};
use bl_align::pair::{PairCounts, StageError};
use bl_schemas::Table;
use serde_json::{Map, Value, json};

use super::aligner::{Aligner, PairRow, StagePair, TOLERANCE_NS};
use super::catalog::Entry;
use super::cells::Cells;
use super::channels::{Channels, Series, rows_since, series_json};
use super::feed::Step;
use super::marks::{Cost, Marks};
use super::pairs::pairs_json;
use super::power::{Board, PowerRow, power_json};
use super::tally::Tallies;
use super::time::ms;

/// What is kept: 15 minutes.
pub const KEPT_NS: i64 = 900_000_000_000;
/// Stage events are kept for the pairing view only.
const EVENTS_NS: i64 = 2_000_000_000;
/// How late an event may come behind the newest one.
const LATENESS_NS: i64 = 500_000_000;
/// Rows kept of a pair or a board, at most: 15 minutes at 1 kHz.
const ROWS: usize = 900_000;
/// Stage events kept, at most.
const EVENTS: usize = 20_000;

/// Upper bounds of the latency histogram, seconds.
pub const LATENCY_BOUNDS_S: [f64; 14] =
    [0.001, 0.002, 0.004, 0.006, 0.008, 0.010, 0.012, 0.016, 0.020, 0.033, 0.050, 0.1, 0.25, 1.0];

/// A message that is not numbered yet: event, pair, data.
pub type Draft = (&'static str, Option<Arc<str>>, String);

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
    new: Vec<PairRow>,
}

impl PairWindow {
    fn new((a, b): &StagePair) -> Self {
        Self {
            name: format!("{a},{b}").into(),
            rows: VecDeque::new(),
            buckets: Default::default(),
            sum_s: 0.0,
            counts: PairCounts::default(),
            begun: 0,
            new: Vec::new(),
        }
    }

    fn push(&mut self, rows: Vec<PairRow>) {
        for row in &rows {
            if let Some(latency_ns) = row.latency_ns {
                let seconds = latency_ns as f64 / 1e9;
                self.buckets[LATENCY_BOUNDS_S.partition_point(|bound| *bound < seconds)] += 1;
                self.sum_s += seconds;
            }
        }
        self.rows.extend(rows.iter().copied());
        self.new.extend(rows);
    }
}

#[derive(Debug, Clone)]
struct StageEvent {
    ts_ns: i64,
    stage: String,
    frame: Option<i64>,
    key_ns: Option<i64>,
}

/// One session as it is now.
pub struct Window {
    /// The session.
    pub entry: Entry,
    aligner: Aligner,
    /// Its pairs of stages.
    pub pairs: Vec<PairWindow>,
    /// Its boards, in the order in which they came. The first is that of `power_w`.
    pub boards: Vec<Board>,
    /// Sources and health.
    pub tallies: Tallies,
    /// Rows of each table so far.
    pub rows: BTreeMap<&'static str, u64>,
    /// Bytes of its files, as of some seconds ago.
    pub bytes: Option<u64>,
    /// Age of the newest row when it was read, nanoseconds.
    pub lag_ns: Option<i64>,
    channels: Channels,
    marks: Marks,
    steps: Vec<Step>,
    system: EnergyIndex,
    events: VecDeque<StageEvent>,
    new_events: Vec<StageEvent>,
    new_power: Vec<Vec<PowerRow>>,
    marks_changed: bool,
}

impl Window {
    /// A session of which nothing is read yet.
    ///
    /// # Errors
    /// When a stage is to be paired with itself.
    pub fn new(
        entry: Entry,
        pairs: &[StagePair],
        window_ns: i64,
        steps: Vec<Step>,
    ) -> Result<Self, StageError> {
        let options = EnergyOptions {
            method: Method::Trapezoid,
            gaps: Gaps::Bridge,
            tolerance_ns: TOLERANCE_NS,
        };
        Ok(Self {
            aligner: Aligner::new(pairs, window_ns, LATENESS_NS)?,
            pairs: pairs.iter().map(PairWindow::new).collect(),
            boards: Vec::new(),
            tallies: Tallies::default(),
            rows: BTreeMap::new(),
            bytes: entry.bytes(),
            lag_ns: None,
            channels: Channels::default(),
            marks: Marks::default(),
            steps,
            system: EnergyIndex::new(options),
            events: VecDeque::new(),
            new_events: Vec::new(),
            new_power: Vec::new(),
            marks_changed: false,
            entry,
        })
    }

    /// Takes rows of a table, read at `now_ns`.
    ///
    /// # Errors
    /// When rows of `pipeline` hold no stages.
    pub fn push(
        &mut self,
        table: &'static Table,
        rows: &RecordBatch,
        now_ns: i64,
    ) -> Result<(), StageError> {
        let name = table.name.as_str();
        *self.rows.entry(name).or_default() += rows.num_rows() as u64;
        match name {
            "health" => self.tallies.note(rows),
            "clock" => {}
            _ => self.tallies.count(name, rows, now_ns),
        }
        self.lag_ns = Cells(rows).ts().iter().max().map(|ts| now_ns - ts).or(self.lag_ns);
        self.channels.push(table, rows);
        match name {
            "benchlab" => self.push_power(rows),
            "pipeline" => return self.push_events(rows),
            "marks" => {
                self.marks.push(rows);
                self.marks_changed = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn push_power(&mut self, rows: &RecordBatch) {
        let cells = Cells(rows);
        for row in 0..cells.rows() {
            let Some(uid) = cells.text("device_uid", row) else { continue };
            let place = self.boards.iter().position(|b| b.uid == uid).unwrap_or_else(|| {
                let source = cells.text("source", row).unwrap_or_default();
                self.boards.push(Board::new(uid, source));
                self.new_power.push(Vec::new());
                self.boards.len() - 1
            });
            let Some(sample) = self.boards[place].push(&cells, row) else { continue };
            self.new_power[place].push(sample);
            if place == 0 {
                self.aligner.push_power(sample.ts_ns, sample.watts(0));
                // In order: the board leaves out what is not.
                let _ = self.system.push(sample.ts_ns, sample.watts(0));
            }
        }
    }

    fn push_events(&mut self, rows: &RecordBatch) -> Result<(), StageError> {
        let cells = Cells(rows);
        let first = cells.rows().saturating_sub(EVENTS);
        self.new_events.extend((first..cells.rows()).map(|row| StageEvent {
            ts_ns: cells.ts()[row],
            stage: cells.text("stage", row).unwrap_or_default().into(),
            frame: cells.int("frame", row),
            key_ns: cells.int("key_ns", row),
        }));
        self.aligner.push_events(rows)
    }

    /// Forgets what is new: the first look at a session is no news.
    pub fn settle(&mut self, now_ns: i64) {
        self.pair(now_ns);
        self.pairs.iter_mut().for_each(|pair| pair.new.clear());
        self.new_power.iter_mut().for_each(Vec::clear);
        self.channels.tick();
        self.keep_events(now_ns);
        self.marks_changed = false;
    }

    /// Pairs what can be paired at `now_ns`.
    fn pair(&mut self, now_ns: i64) {
        self.aligner.advance(now_ns - LATENESS_NS);
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            pair.push(self.aligner.take(index, now_ns));
            pair.counts = self.aligner.counts(index);
            let stage_a = pair.name.split(',').next().unwrap_or_default();
            pair.begun = self.aligner.stages().get(stage_a).copied().unwrap_or(0);
        }
    }

    fn keep_events(&mut self, now_ns: i64) -> Vec<StageEvent> {
        let new = std::mem::take(&mut self.new_events);
        self.events.extend(new.iter().cloned());
        let surplus = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..surplus);
        self.events.retain(|event| event.ts_ns >= now_ns - EVENTS_NS);
        new
    }

    /// What has come since the last call, as messages; slow series only where `with_channels`.
    pub fn news(&mut self, now_ns: i64, with_channels: bool) -> Vec<Draft> {
        self.pair(now_ns);
        let mut out = Vec::new();
        for pair in &mut self.pairs {
            let new = std::mem::take(&mut pair.new);
            if !new.is_empty() {
                let name = Arc::clone(&pair.name);
                let body = pairs_json(&name, &new);
                out.push(("pairs", Some(name), Value::Object(body).to_string()));
            }
        }
        for (board, new) in self.boards.iter().zip(&mut self.new_power) {
            let new = std::mem::take(new);
            if !new.is_empty() {
                let body = power_json(&board.uid, new.iter(), |_| true);
                out.push(("power", None, Value::Object(body).to_string()));
            }
        }
        let new = self.keep_events(now_ns);
        if !new.is_empty() {
            out.push(("events", None, events_json(&new).to_string()));
        }
        if with_channels && let Some(body) = self.channels.tick() {
            out.push(("channels", None, body.to_string()));
        }
        if std::mem::take(&mut self.marks_changed) {
            out.push(("marks", None, self.marks_json().to_string()));
        }
        out
    }

    /// Forgets what is older than 15 minutes.
    pub fn trim(&mut self, now_ns: i64) {
        let from_ns = now_ns - KEPT_NS;
        for pair in &mut self.pairs {
            let surplus = pair.rows.len().saturating_sub(ROWS);
            pair.rows.drain(..surplus);
            while pair.rows.front().is_some_and(|row| row.ts_ns < from_ns) {
                pair.rows.pop_front();
            }
        }
        for board in &mut self.boards {
            let surplus = board.rows.len().saturating_sub(ROWS);
            board.rows.drain(..surplus);
            board.trim_before(from_ns);
        }
        self.channels.trim_before(from_ns);
        self.aligner.trim_before(now_ns - 30_000_000_000);
        self.system.trim_before(from_ns);
    }

    /// The shape **marks**, with what each step cost as far as the window reaches.
    pub fn marks_json(&self) -> Value {
        let first = self.pairs.first();
        self.marks.json(&self.steps, |begin_ns, end_ns| {
            let rows = first.into_iter().flat_map(|pair| &pair.rows);
            let inside = rows.filter(|r| (begin_ns..end_ns).contains(&r.ts_ns));
            let latencies: Vec<f64> =
                inside.filter(|r| r.latency_ns.is_some()).map(PairRow::latency_ms).collect();
            let count = latencies.len();
            Cost {
                latency_ms: (count > 0).then(|| latencies.iter().sum::<f64>() / count as f64),
                energy_j: self.system.energy_j(begin_ns, end_ns),
                frames: first.map(|_| count as u64),
            }
        })
    }

    /// The session as readers see it.
    pub fn session_json(&self, now_ns: i64) -> Value {
        self.entry.json(now_ns, Some(&self.rows), self.bytes)
    }

    /// Series with a row from `from_ns` on.
    pub fn series(&self, from_ns: i64) -> impl Iterator<Item = &Series> {
        self.channels.since(from_ns)
    }

    /// A copy of what `window_ns` back from `now_ns` holds, to be written without holding up the feed.
    pub fn copy(&self, now_ns: i64, window_ns: i64) -> WindowCopy {
        let from_ns = now_ns - window_ns;
        let pairs = self.pairs.iter().map(|pair| {
            let rows = pair.rows.iter().filter(|r| r.ts_ns >= from_ns).copied().collect();
            (Arc::clone(&pair.name), rows)
        });
        let boards = self.boards.iter().map(|board| {
            let first = board.rows.partition_point(|row| row.ts_ns < from_ns);
            (board.uid.clone(), board.rows.range(first..).copied().collect())
        });
        let series = self.channels.since(from_ns).cloned().collect();
        let events = self.events.iter().filter(|e| e.ts_ns >= from_ns).cloned().collect();
        WindowCopy { from_ns, pairs: pairs.collect(), boards: boards.collect(), series, events }
    }

    /// The last pairs of `pair`, else of the first pair, oldest first.
    pub fn last_pairs(&self, pair: Option<&str>, count: usize) -> Vec<PairRow> {
        let found = match pair {
            Some(name) => self.pairs.iter().find(|p| *p.name == *name),
            None => self.pairs.first(),
        };
        let rows = found.into_iter().flat_map(|p| p.rows.iter().rev());
        let mut last: Vec<PairRow> =
            rows.filter(|r| r.latency_ns.is_some()).take(count).copied().collect();
        last.sort_by_key(|row| row.ts_ns);
        last
    }
}

/// A piece of the window.
pub struct WindowCopy {
    from_ns: i64,
    pairs: Vec<(Arc<str>, Vec<PairRow>)>,
    boards: Vec<(String, Vec<PowerRow>)>,
    series: Vec<Series>,
    events: Vec<StageEvent>,
}

impl WindowCopy {
    /// The messages that hold it whole: `pairs`, `power`, `channels`, `events`.
    pub fn messages(&self, pair: Option<&str>) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        for (name, rows) in self.pairs.iter().filter(|(name, _)| pair.is_none_or(|p| **name == *p))
        {
            out.push(("pairs", Value::Object(pairs_json(name, rows)).to_string()));
        }
        for (uid, rows) in &self.boards {
            let body = power_json(uid, rows.iter(), |_| true);
            out.push(("power", Value::Object(body).to_string()));
        }
        let series: Vec<Value> =
            self.series.iter().map(|s| series_json(s, &rows_since(s, self.from_ns))).collect();
        out.push(("channels", json!({ "series": series }).to_string()));
        out.push(("events", events_json(&self.events).to_string()));
        out
    }
}

/// The shape **events**, sorted by time.
fn events_json(events: &[StageEvent]) -> Value {
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
