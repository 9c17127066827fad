//! Pairs of stage events with the power and the energy of each: the kernels of `bl_align`, fed with rows.
//!
//! The live window and the routes over past sessions use the same aligner, so that both show the same rows.

use std::collections::{BTreeMap, VecDeque};

use arrow::array::{Array, RecordBatch};
use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method};
use bl_align::pair::{
    KeyColumn, Order, Pair, PairCounts, PairOptions, StageError, StageEvents, StagePairs, Wanted,
};

use super::cells::Cells;

/// How old the power sample of a frame may be, and how far neighbouring samples may be apart: that of the SQL
/// function `latency`.
pub const TOLERANCE_NS: i64 = 200_000_000;

/// A pair waits this long for the power samples that cover it.
const POWER_PATIENCE_NS: i64 = 300_000_000;

/// Kinds of keys: frame number, running time, presentation time stamp.
const KEYS: [&str; 3] = ["frame", "key_ns", "pts_ns"];

/// `stage_a` and `stage_b`.
pub type StagePair = (String, String);

/// A frame that entered `stage_a`, what became of it, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairRow {
    /// Time of `stage_a`, nanoseconds UTC.
    pub ts_ns: i64,
    /// Nanoseconds to `stage_b`; none where the frame was dropped.
    pub latency_ns: Option<i64>,
    /// System power: the last sample at or before `ts_ns` within the tolerance; NaN where there is none.
    pub power_w: f64,
    /// System energy between the two events; NaN where it is unknown.
    pub energy_j: f64,
    /// Frame number, where the events have one.
    pub frame: Option<i64>,
}

impl PairRow {
    /// The latency in milliseconds; NaN where the frame was dropped.
    pub fn latency_ms(&self) -> f64 {
        self.latency_ns.map_or(f64::NAN, |ns| ns as f64 / 1e6)
    }
}

/// Frame number handed through the pairing.
type Carry = Option<i64>;

/// Pairs the events of several pairs of stages, and looks up their power.
pub struct Aligner {
    pairs: StagePairs<Carry>,
    /// Names of the pipelines, by their numbers.
    pipelines: Vec<Option<String>>,
    held: EnergyIndex,
    line: EnergyIndex,
    /// Pairs that wait for power, one queue a pair of stages.
    waiting: Vec<VecDeque<Pair<Carry>>>,
    stages: BTreeMap<String, u64>,
}

impl Aligner {
    /// Looks for `pairs`; a frame takes at most `window_ns`, and an event may come `lateness_ns` behind the newest.
    ///
    /// # Errors
    /// When a stage is to be paired with itself.
    pub fn new(pairs: &[StagePair], window_ns: i64, lateness_ns: i64) -> Result<Self, StageError> {
        let order = Order::Completed;
        let options = PairOptions { window_ns, lateness_ns, order, wanted: Wanted::All };
        let index = |method| {
            let (gaps, tolerance_ns) = (Gaps::Null, TOLERANCE_NS);
            EnergyIndex::new(EnergyOptions { method, gaps, tolerance_ns })
        };
        Ok(Self {
            pairs: StagePairs::new(pairs.iter().cloned(), options)?,
            pipelines: Vec::new(),
            held: index(Method::Hold),
            line: index(Method::Trapezoid),
            waiting: pairs.iter().map(|_| VecDeque::new()).collect(),
            stages: BTreeMap::new(),
        })
    }

    /// Takes rows of table `pipeline`.
    ///
    /// # Errors
    /// When the stage column does not hold strings.
    pub fn push_events(&mut self, rows: &RecordBatch) -> Result<(), StageError> {
        let cells = Cells(rows);
        let Some(stage) = rows.column_by_name("stage").filter(|stage| !stage.is_empty()) else {
            return Ok(());
        };
        let mut pipelines = Vec::with_capacity(cells.rows());
        for row in 0..cells.rows() {
            pipelines.push(self.pipeline(cells.text("pipeline", row)));
            if let Some(stage) = cells.text("stage", row) {
                self.count(stage);
            }
        }
        let keys: Vec<KeyColumn<'_>> = KEYS.iter().filter_map(|name| cells.numbers(name)).collect();
        let events = StageEvents { ts_ns: cells.ts(), keys: &keys, pipeline: Some(&pipelines) };
        self.pairs.push_columns(&events, stage, |row| cells.int("frame", row))
    }

    fn count(&mut self, stage: &str) {
        match self.stages.get_mut(stage) {
            Some(count) => *count += 1,
            None => {
                self.stages.insert(stage.into(), 1);
            }
        }
    }

    fn pipeline(&mut self, name: Option<&str>) -> u32 {
        let next = self.pipelines.len() as u32;
        match self.pipelines.iter().position(|known| known.as_deref() == name) {
            Some(at) => at as u32,
            None => {
                self.pipelines.push(name.map(str::to_string));
                next
            }
        }
    }

    /// Takes a sample of system power. One that is older than the last is left out, as is one that is null.
    pub fn push_power(&mut self, ts_ns: i64, watts: f64) {
        if self.line.last_ts_ns().is_some_and(|last| ts_ns < last) {
            return;
        }
        // In order by the line above.
        let _ = self.held.push(ts_ns, watts);
        let _ = self.line.push(ts_ns, watts);
    }

    /// Tells the time: frames whose window has passed are dropped, and what no frame needs is forgotten.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.pairs.advance(watermark_ns);
    }

    /// Forgets power before `ts_ns`.
    pub fn trim_before(&mut self, ts_ns: i64) {
        self.held.trim_before(ts_ns);
        self.line.trim_before(ts_ns);
    }

    /// Tells that nothing will come any more.
    pub fn finish(&mut self) {
        self.pairs.finish();
    }

    /// The rows of one pair of stages that are complete at `now_ns`, each once.
    pub fn take(&mut self, pair: usize, now_ns: i64) -> Vec<PairRow> {
        let Some(stages) = self.pairs.pairs().get_mut(pair) else { return Vec::new() };
        let found = stages.pipelines.take();
        let waiting = &mut self.waiting[pair];
        waiting.extend(found);
        let covered_ns = self.line.last_ts_ns();
        let mut rows = Vec::with_capacity(waiting.len());
        let mut still = VecDeque::new();
        while let Some(found) = waiting.pop_front() {
            let Some(latency_ns) = found.latency_ns else {
                rows.push(row(&found, f64::NAN, f64::NAN));
                continue;
            };
            let end_ns = found.ts_ns + latency_ns;
            let waits = covered_ns.is_some_and(|covered| covered < end_ns)
                && now_ns.saturating_sub(end_ns) < POWER_PATIENCE_NS;
            if waits {
                still.push_back(found);
                continue;
            }
            let power_w = self.held.power_w_at(found.ts_ns).unwrap_or(f64::NAN);
            let energy_j = self.line.energy_j(found.ts_ns, end_ns).unwrap_or(f64::NAN);
            rows.push(row(&found, power_w, energy_j));
        }
        *waiting = still;
        rows
    }

    /// What became of the events of a pair of stages so far.
    pub fn counts(&mut self, pair: usize) -> PairCounts {
        self.pairs.pairs().get(pair).map(|pair| pair.pipelines.counts()).unwrap_or_default()
    }

    /// Events of each stage so far.
    pub fn stages(&self) -> &BTreeMap<String, u64> {
        &self.stages
    }
}

fn row(pair: &Pair<Carry>, power_w: f64, energy_j: f64) -> PairRow {
    let Pair { ts_ns, latency_ns, carry, .. } = *pair;
    PairRow { ts_ns, latency_ns, power_w, energy_j, frame: carry }
}
