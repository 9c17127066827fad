//! Frames and what they cost: the driver of `bl_align`, fed with rows as they come.
//!
//! Past sessions are read from table `latency`, which the same driver makes.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array, RecordBatch};
use bl_align::driver::{
    self, Driver, DriverOptions, EventColumns, Frame, KEYS, PowerColumns, Telling,
};
use bl_align::pair::{PairCounts, StageError};

use super::cells::Cells;
use super::power::PowerRow;

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
    /// System power at `ts_ns`; NaN where it is not known, or not yet.
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

    fn of(frame: &Frame) -> Self {
        Self {
            ts_ns: frame.pair.ts_ns,
            latency_ns: frame.pair.latency_ns,
            ambiguous: frame.dropped().is_none(),
            power_w: frame.power_w().unwrap_or(f64::NAN),
            energy_j: frame.energy_j.unwrap_or(f64::NAN),
            frame: frame.pair.carry[0],
        }
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

impl Taken {
    fn of(taken: &driver::Taken) -> Self {
        let rows = |frames: &[Frame]| frames.iter().map(PairRow::of).collect();
        Self { rows: rows(&taken.frames), costs: rows(&taken.costs) }
    }
}

/// Makes frames of the events of several pairs of stages, and tells what they cost.
pub struct Aligner {
    driver: Driver,
    stages: BTreeMap<String, u64>,
}

impl Aligner {
    /// Looks for `pairs`; a frame takes at most `window_ns`, and an event may come `lateness_ns` behind the newest.
    ///
    /// # Errors
    /// When a stage is to be paired with itself.
    pub fn new(pairs: &[StagePair], window_ns: i64, lateness_ns: i64) -> Result<Self, StageError> {
        let telling = Telling::AsTheyEnd;
        let options = DriverOptions { window_ns, lateness_ns, telling, ..DriverOptions::default() };
        let pairs = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str()));
        Ok(Self { driver: Driver::new(pairs, options)?, stages: BTreeMap::new() })
    }

    /// Takes rows of table `pipeline`.
    ///
    /// # Errors
    /// When the columns of stages or pipelines do not hold strings.
    pub fn push_events(&mut self, rows: &RecordBatch) -> Result<(), StageError> {
        let cells = Cells(rows);
        let Some(stage) = rows.column_by_name("stage").filter(|stage| !stage.is_empty()) else {
            return Ok(());
        };
        for row in 0..cells.rows() {
            if let Some(stage) = cells.text("stage", row) {
                self.count(stage);
            }
        }
        let (ts_ns, pipeline) = (cells.ts(), rows.column_by_name("pipeline"));
        let keys = KEYS.map(|name| cells.numbers(name));
        self.driver.push_events(&EventColumns { ts_ns, pipeline, stage, keys })
    }

    fn count(&mut self, stage: &str) {
        match self.stages.get_mut(stage) {
            Some(count) => *count += 1,
            None => {
                self.stages.insert(stage.into(), 1);
            }
        }
    }

    /// Takes samples of the board whose power counts, in order of time.
    pub fn push_power(&mut self, samples: &[PowerRow]) {
        let ts_ns: Vec<i64> = samples.iter().map(|sample| sample.ts_ns).collect();
        let watts = |sample: &PowerRow| Some(sample.watts(0)).filter(|watts| !watts.is_nan());
        let sys_w: Float64Array = samples.iter().map(watts).collect();
        let (ts_ns, sys_w) = (ts_ns.as_slice(), &sys_w);
        self.driver.push_power(&PowerColumns {
            ts_ns,
            sys_w,
            cpu_w: None,
            gpu_w: None,
            err_ns: None,
        });
    }

    /// Tells that every event before `watermark_ns` was pushed: frames whose window has passed are dropped.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.driver.advance(watermark_ns);
    }

    /// What is new of one pair of stages at `now_ns`.
    pub fn take(&mut self, pair: usize, now_ns: i64) -> Taken {
        Taken::of(&self.driver.take(pair, now_ns))
    }

    /// What became of the events of a pair of stages so far.
    pub fn counts(&self, pair: usize) -> PairCounts {
        self.driver.counts(pair)
    }

    /// Events of each stage so far.
    pub fn stages(&self) -> &BTreeMap<String, u64> {
        &self.stages
    }
}
