//! Pairs of stage events with the power and the energy of each: the kernels of `bl_align`, fed with rows.
//!
//! Past sessions are read from table `latency`, which the same kernels make.

use std::collections::{BTreeMap, VecDeque};

use arrow::array::{Array, RecordBatch};
use bl_align::SETTLING_NS;
use bl_align::pair::{
    Fate, KeyColumn, Order, Pair, PairCounts, PairOptions, StageError, StageEvents, StagePairs,
    Wanted,
};

use super::cells::Cells;
use super::trace::PowerTrace;

/// A pair waits this long for the power samples that cover it, then goes out without what they would tell.
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
    /// Nanoseconds to `stage_b`; none where the frame was dropped, or where that is not known.
    pub latency_ns: Option<i64>,
    /// Whether nobody can tell what became of it.
    pub ambiguous: bool,
    /// System power: the last sample at or before `ts_ns` within the tolerance; NaN where there is none, or where it is
    /// not known yet which one that is.
    pub power_w: f64,
    /// System energy between the two events; NaN where it is not known, or not yet.
    pub energy_j: f64,
    /// Frame number, where the events have one.
    pub frame: Option<i64>,
}

impl PairRow {
    /// Whether it never ended, as far as can be told.
    pub fn is_dropped(&self) -> bool {
        self.latency_ns.is_none() && !self.ambiguous
    }

    /// The latency in milliseconds; NaN where the frame was dropped.
    pub fn latency_ms(&self) -> f64 {
        self.latency_ns.map_or(f64::NAN, |ns| ns as f64 / 1e6)
    }
}

/// What is new of a pair of stages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// Rows that are complete but for power that is late, each once.
    pub rows: Vec<PairRow>,
    /// Rows that were taken before, now with the power and the energy that were not known then, each once.
    pub costs: Vec<PairRow>,
}

/// Frame number handed through the pairing.
type Carry = Option<i64>;

/// Pairs of one pair of stages on their way.
#[derive(Default)]
struct Waiting {
    /// Those that wait for power before they go out.
    held: VecDeque<Pair<Carry>>,
    /// Those that went out without all of it.
    late: VecDeque<Pair<Carry>>,
}

/// Pairs the events of several pairs of stages, and looks up their power.
pub struct Aligner {
    pairs: StagePairs<Carry>,
    /// Names of the pipelines, by their numbers.
    pipelines: Vec<Option<String>>,
    power: PowerTrace,
    /// One a pair of stages.
    waiting: Vec<Waiting>,
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
        Ok(Self {
            pairs: StagePairs::new(pairs.iter().cloned(), options)?,
            pipelines: Vec::new(),
            power: PowerTrace::new(),
            waiting: pairs.iter().map(|_| Waiting::default()).collect(),
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

    /// Takes a sample of system power; NaN is one without a reading. One that is older than the last is left out.
    pub fn push_power(&mut self, ts_ns: i64, watts: f64) {
        self.power.push(ts_ns, watts);
    }

    /// Tells the time: frames whose window has passed are dropped, and what no frame needs is forgotten.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.pairs.advance(watermark_ns);
    }

    /// Forgets power before `ts_ns`.
    pub fn trim_before(&mut self, ts_ns: i64) {
        self.power.trim_before(ts_ns);
    }

    /// What is new of one pair of stages at `now_ns`.
    ///
    /// No row ever carries the power of a sample that one to come may take the place of: samples come in batches of
    /// their own, and may be read after the events that they were before.
    pub fn take(&mut self, pair: usize, now_ns: i64) -> Taken {
        let Some(stages) = self.pairs.pairs().get_mut(pair) else { return Taken::default() };
        let found = stages.pipelines.take().into_iter().map(|row| row.pair);
        let Waiting { held, late } = &mut self.waiting[pair];
        let mut taken = Taken::default();
        let power = &self.power;
        late.retain(|pair| {
            let is_due = is_settled(power, pair, now_ns);
            let row = cost(power, pair);
            if is_due && (row.power_w.is_finite() || row.energy_j.is_finite()) {
                taken.costs.push(row);
            }
            !is_due
        });
        held.extend(found);
        held.retain(|pair| {
            let age_ns = now_ns.saturating_sub(end_ns(pair));
            let is_due = is_settled(power, pair, now_ns);
            if !is_due && !power.is_empty() && age_ns < POWER_PATIENCE_NS {
                return true;
            }
            let mut row = cost(power, pair);
            if !is_due {
                late.push_back(*pair);
                row.energy_j = f64::NAN;
                row.power_w = if power.settles_power(pair.ts_ns) { row.power_w } else { f64::NAN };
            }
            taken.rows.push(row);
            false
        });
        taken
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

/// When the frame arrived; when it began, where it did not.
fn end_ns(pair: &Pair<Carry>) -> i64 {
    pair.ts_ns.saturating_add(pair.latency_ns.unwrap_or(0))
}

/// Whether nothing to come changes what the pair cost. What was dropped has no cost.
fn is_settled(power: &PowerTrace, pair: &Pair<Carry>, now_ns: i64) -> bool {
    let end_ns = end_ns(pair);
    pair.latency_ns.is_none()
        || power.settles(pair.ts_ns, end_ns)
        || now_ns.saturating_sub(end_ns) >= SETTLING_NS
}

/// The row of a pair, with what it cost by the samples that are there.
fn cost(power: &PowerTrace, pair: &Pair<Carry>) -> PairRow {
    let Pair { ts_ns, latency_ns, carry: frame, .. } = *pair;
    let ambiguous = pair.fate() == Fate::Ambiguous;
    let (power_w, energy_j) = match latency_ns {
        Some(_) => (power.power_w(ts_ns), power.energy_j(ts_ns, end_ns(pair))),
        None => (f64::NAN, f64::NAN),
    };
    PairRow { ts_ns, latency_ns, ambiguous, power_w, energy_j, frame }
}
