//! What is kept of the session that is being recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method};
use bl_align::pair::StageError;
use bl_schemas::Table;
use serde_json::{Value, json};

use bl_align::DEFAULT_TOLERANCE_NS;

use super::aligner::{Aligner, PairRow, StagePair};
use super::boards::Boards;
use super::catalog::Entry;
use super::cells::Cells;
use super::channels::{Channels, Series, rows_since, series_json};
use super::events::{StageEvent, StageEvents, events_json};
use super::kept::{KEPT_NS, ROWS};
use super::log::Draft;
use super::marks::{Cost, Marks};
use super::options::Step;
use super::pairs::{PairWindow, pairs_json};
use super::power::{PowerRow, power_json};
use super::tally::Tallies;

/// How late an event may come behind the newest one.
const LATENESS_NS: i64 = 500_000_000;

/// One session as it is now.
pub struct Window {
    /// The session.
    pub entry: Entry,
    aligner: Aligner,
    /// Its pairs of stages.
    pub pairs: Vec<PairWindow>,
    /// Its boards.
    pub boards: Boards,
    /// Sources and health.
    pub tallies: Tallies,
    /// Rows of each table so far.
    pub rows: BTreeMap<&'static str, u64>,
    /// Bytes of its files, as of some seconds ago.
    pub bytes: Option<u64>,
    /// Time of the newest row, nanoseconds UTC.
    last_ns: Option<i64>,
    /// Age of the newest row when it was read, nanoseconds.
    pub lag_ns: Option<i64>,
    channels: Channels,
    marks: Marks,
    steps: Vec<Step>,
    system: EnergyIndex,
    events: StageEvents,
    marks_changed: bool,
}

impl Window {
    /// A session of which nothing is read yet. `first_board` is the one with its first sample, where that lies before
    /// what will be read.
    ///
    /// # Errors
    /// When a stage is to be paired with itself.
    pub fn new(
        entry: Entry,
        first_board: Option<String>,
        pairs: &[StagePair],
        window_ns: i64,
        steps: Vec<Step>,
    ) -> Result<Self, StageError> {
        let options = EnergyOptions {
            method: Method::Trapezoid,
            gaps: Gaps::Bridge,
            tolerance_ns: DEFAULT_TOLERANCE_NS,
        };
        Ok(Self {
            aligner: Aligner::new(pairs, window_ns, LATENESS_NS)?,
            pairs: pairs.iter().map(PairWindow::new).collect(),
            boards: Boards::new(first_board),
            tallies: Tallies::default(),
            rows: BTreeMap::new(),
            bytes: entry.bytes(),
            last_ns: None,
            lag_ns: None,
            channels: Channels::default(),
            marks: Marks::default(),
            steps,
            system: EnergyIndex::new(options),
            events: StageEvents::default(),
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
        let newest = Cells(rows).ts().iter().max().copied();
        self.lag_ns = newest.map(|ts| now_ns - ts).or(self.lag_ns);
        self.last_ns = self.last_ns.max(newest);
        self.channels.push(table, rows);
        match name {
            "benchlab" => self.boards.push(rows),
            "pipeline" => {
                self.events.push(rows);
                return self.aligner.push_events(rows);
            }
            "marks" => {
                self.marks.push(rows);
                self.marks_changed = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// When it ended, nanoseconds UTC. A recorder that was killed could not say: then the time of its last row.
    pub fn ended_ns(&self) -> i64 {
        let m = self.entry.session.manifest();
        m.ended_ns.or(self.last_ns).unwrap_or(m.started_ns)
    }

    /// Forgets what is new: the first look at a session is no news.
    pub fn settle(&mut self, now_ns: i64) {
        self.pair(now_ns);
        self.pairs.iter_mut().for_each(|pair| drop(pair.news()));
        self.boards.take_new();
        self.channels.tick();
        self.events.news(now_ns);
        self.marks_changed = false;
    }

    /// Pairs what can be paired at `now_ns`.
    fn pair(&mut self, now_ns: i64) {
        let samples = self.boards.take_first(now_ns);
        self.aligner.push_power(&samples);
        for sample in samples {
            // In order: the board leaves out what is not.
            let _ = self.system.push(sample.ts_ns, sample.watts(0));
        }
        self.aligner.advance(now_ns - LATENESS_NS);
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            pair.push(self.aligner.take(index, now_ns));
            pair.counts = self.aligner.counts(index);
            let stage_a = pair.name.split(',').next().unwrap_or_default();
            pair.begun = self.aligner.stages().get(stage_a).copied().unwrap_or(0);
        }
    }

    /// What has come since the last call, as messages; slow series only where `with_channels`.
    pub fn news(&mut self, now_ns: i64, with_channels: bool) -> Vec<Draft> {
        self.pair(now_ns);
        let mut out: Vec<Draft> = self.pairs.iter_mut().flat_map(PairWindow::news).collect();
        for (uid, new) in self.boards.take_new() {
            let body = power_json(uid, new.iter(), |_| true);
            out.push(("power", None, Value::Object(body).to_string()));
        }
        let new = self.events.news(now_ns);
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
        self.pairs.iter_mut().for_each(|pair| pair.trim_before(from_ns));
        self.boards.trim_before(from_ns, ROWS);
        self.channels.trim_before(from_ns);
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
        let mut session = self.entry.json(now_ns, Some(&self.rows), self.bytes);
        if session["duration_s"].is_null() {
            // It was killed: it lasts as far as its rows reach.
            let started_ns = self.entry.session.manifest().started_ns;
            session["duration_s"] = json!((self.ended_ns() - started_ns).max(0) as f64 / 1e9);
        }
        session
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
        let events = self.events.since(from_ns);
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
