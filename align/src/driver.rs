//! What each frame cost: stage events and power in, frames out.
//!
//! This is the one rule for all who tell frames: table `latency` in SQL, `bl align`, the page that
//! follows a session, and the files made of them. [`Driver`] takes events and samples as columns, as
//! they come, and gives frames out. A batch is the same: push all, finish, take. What the rule says:
//!
//! - What identifies a frame: [`KEYS`], the best first, by evidence ([`pair`](crate::pair)).
//! - **Power** is the last sample at or before the frame's beginning, no older than the tolerance.
//!   A sample without a reading tells none; the one before it is not asked.
//! - **Energy** is the integral from beginning to end, by the trapezoid over all readings, and none
//!   across a gap or where the frame did not end.
//! - Where the meter's **lag** is known, its samples are taken for what was so long before.
//! - Boards are never added up: [`FirstBoard`] tells which one counts where none is named.
//! - What samples to come may change is not told: a frame is [settled](Frame::is_settled) once they
//!   cannot, or once it ended [`SETTLING_NS`] ago.

mod board;
mod events;
mod frames;
mod power;

#[cfg(test)]
mod tests;

pub use board::FirstBoard;
pub use events::EventColumns;
use events::{Pipeline, Stages};
use frames::StageFrames;
pub use frames::{Frame, Taken};
use power::PowerSeries;
pub use power::{PowerColumns, Reading};

use crate::pair::{Order, PairCounts, PairOptions, Side, StageError};

/// What identifies a frame, best first: frame number, running time, presentation time stamp.
pub const KEYS: [&str; 3] = ["frame", "key_ns", "pts_ns"];

/// Power samples further apart than this are a gap, and one further from an event does not tell its
/// power: 200 ms, ten samples at 50 Hz.
pub const DEFAULT_TOLERANCE_NS: i64 = 200_000_000;

/// While a session is recorded, what is this young may still get events or samples: a batch on its
/// way, or one that waits to be flushed.
pub const SETTLING_NS: i64 = 15_000_000_000;

/// Whoever watches sees a frame this long after its end, without what it cost where samples are
/// later than that.
const PATIENCE_NS: i64 = 300_000_000;

/// When frames are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// In order of their beginning, each once and with what it cost: for files and queries.
    InOrder,
    /// As they end. What they cost follows where samples are late: for those who watch.
    AsTheyEnd,
}

/// What a driver is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverOptions {
    /// The longest time from `stage_a` to `stage_b`; a frame that takes longer is dropped.
    pub window_ns: i64,
    /// The oldest sample that tells the power of an event, and the longest time between two that is
    /// no gap.
    pub tolerance_ns: i64,
    /// How far power follows the work that causes it: a sample tells of what was so long before its
    /// stamp. 0 where that is not known.
    pub lag_ns: i64,
    /// How far behind the newest event one may still come. 0: the events are in order of time.
    pub lateness_ns: i64,
    /// Frames that began before are paired and counted, and not given out.
    pub from_ns: i64,
    /// When frames are given out.
    pub telling: Telling,
}

impl Default for DriverOptions {
    /// The window and the tolerance where none are configured; events in order, all frames in order.
    fn default() -> Self {
        Self {
            window_ns: crate::pair::DEFAULT_WINDOW_NS,
            tolerance_ns: DEFAULT_TOLERANCE_NS,
            lag_ns: 0,
            lateness_ns: 0,
            from_ns: i64::MIN,
            telling: Telling::InOrder,
        }
    }
}

/// Pairs the events of some pairs of stages and tells what their frames cost. Memory is bounded by
/// what is open within the window, the frames that are not taken, and the power that these need.
///
/// ```
/// use arrow_array::{ArrayRef, Float64Array, StringArray};
/// use bl_align::driver::{Driver, DriverOptions, EventColumns, PowerColumns};
///
/// let mut driver = Driver::new([("in", "out")], DriverOptions::default())?;
/// let stage: ArrayRef = std::sync::Arc::new(StringArray::from(vec!["in", "out"]));
/// let frame = (&[1_i64, 1][..], None);
/// let keys = [Some(frame), None, None];
/// driver.push_events(&EventColumns { ts_ns: &[0, 8_000_000], pipeline: None, stage: &stage, keys })?;
/// let sys_w = Float64Array::from(vec![50.0, 50.0]);
/// let power = PowerColumns { ts_ns: &[0, 20_000_000], sys_w: &sys_w, cpu_w: None, gpu_w: None, err_ns: None };
/// driver.push_power(&power);
/// driver.finish_events();
/// driver.finish_power();
/// let frames = driver.take(0, i64::MIN).frames;
/// assert_eq!(frames[0].pair.latency_ns, Some(8_000_000));
/// assert_eq!(frames[0].energy_j, Some(0.4));
/// # Ok::<(), bl_align::pair::StageError>(())
/// ```
pub struct Driver {
    options: DriverOptions,
    stages: Stages,
    pairs: Vec<StageFrames>,
    power: PowerSeries,
    /// Every event before was pushed.
    watermark_ns: i64,
}

impl Driver {
    /// Looks for frames from each `stage_a` to its `stage_b`.
    ///
    /// # Errors
    /// When a stage is to be paired with itself.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        options: DriverOptions,
    ) -> Result<Self, StageError> {
        let DriverOptions { window_ns, lateness_ns, .. } = options;
        let order = match options.telling {
            Telling::InOrder => Order::StageA,
            Telling::AsTheyEnd => Order::Completed,
        };
        let of_pair = PairOptions { window_ns, lateness_ns, order, ..PairOptions::default() };
        let mut stages = Stages::default();
        let pairs = pairs.into_iter().map(|(stage_a, stage_b)| {
            let ends = stages.number_pair(stage_a, stage_b)?;
            Ok(StageFrames::new(ends, of_pair))
        });
        Ok(Self {
            pairs: pairs.collect::<Result<_, _>>()?,
            stages,
            power: PowerSeries::new(options.tolerance_ns, options.lag_ns),
            options,
            watermark_ns: i64::MIN,
        })
    }

    /// Takes events of any stages and pipelines.
    ///
    /// # Errors
    /// When the columns of stages or pipelines do not hold strings.
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_events(&mut self, events: &EventColumns<'_>) -> Result<(), StageError> {
        let Some(last_ns) = events.ts_ns.iter().max() else { return Ok(()) };
        let numbers = self.stages.number(events)?;
        for pair in &mut self.pairs {
            pair.push(events, &numbers);
        }
        let watermark_ns = last_ns.saturating_sub(self.options.lateness_ns.max(0));
        self.watermark_ns = self.watermark_ns.max(watermark_ns);
        Ok(())
    }

    /// Tells that every event before `watermark_ns` was pushed: frames whose window has passed are
    /// dropped.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.watermark_ns = self.watermark_ns.max(watermark_ns);
        self.pairs.iter_mut().for_each(|pair| pair.pipelines.advance(watermark_ns));
    }

    /// Tells that no event will come any more.
    pub fn finish_events(&mut self) {
        self.watermark_ns = i64::MAX;
        self.pairs.iter_mut().for_each(|pair| pair.pipelines.finish());
    }

    /// Takes samples of the board whose power counts, and gives them to the frames that wait for
    /// them. One that is older than the last is left out.
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_power(&mut self, samples: &PowerColumns<'_>) {
        self.power.extend(samples);
        for pair in &mut self.pairs {
            pair.settle(&mut self.power, self.options.telling, i64::MIN);
        }
        self.forget();
    }

    /// Tells that no sample will come any more, or that none is asked for.
    pub fn finish_power(&mut self) {
        self.power.finish();
    }

    /// Ends as it is, with more to come: frames that ended are told, also those behind one on its
    /// way, and what samples to come may change of them is not.
    pub fn leave(&mut self) {
        self.pairs.iter_mut().for_each(StageFrames::leave);
    }

    /// From when on samples are needed for finished frames of a pair; `None` where they have all. To
    /// keep memory small where power is read in step: push samples until this is none, or finish,
    /// before frames are taken.
    pub fn wants_power(&mut self, pair: usize) -> Option<i64> {
        let frames = self.pairs.get_mut(pair)?;
        frames.collect(&self.options, &self.stages);
        frames.settle(&mut self.power, self.options.telling, i64::MIN);
        let first_ns = frames.first_waiting_ns()?;
        let at_ns = first_ns.saturating_add(self.options.lag_ns);
        Some(at_ns.saturating_sub(self.options.tolerance_ns.max(0)))
    }

    /// What is new of a pair at `now_ns`. Frames that ended [`SETTLING_NS`] before wait for no
    /// samples; `i64::MIN` where all samples are pushed anyway.
    pub fn take(&mut self, pair: usize, now_ns: i64) -> Taken {
        self.take_before(pair, i64::MAX, now_ns)
    }

    /// The same for frames that began before an instant; the others wait. It is heeded where frames
    /// are told in order.
    pub fn take_before(&mut self, pair: usize, before_ns: i64, now_ns: i64) -> Taken {
        let Some(frames) = self.pairs.get_mut(pair) else { return Taken::default() };
        frames.collect(&self.options, &self.stages);
        frames.settle(&mut self.power, self.options.telling, now_ns);
        let taken = match self.options.telling {
            Telling::InOrder => frames.take_in_order(&mut self.power, before_ns),
            Telling::AsTheyEnd => frames.take_ended(&mut self.power, now_ns),
        };
        self.forget();
        taken
    }

    /// How many finished frames of a pair wait to be taken, in order or not.
    pub fn ready(&self, pair: usize) -> usize {
        self.pairs.get(pair).map_or(0, StageFrames::ready)
    }

    /// Every frame of a pair that began before this instant is finished.
    pub fn settled_until_ns(&self, pair: usize) -> i64 {
        self.pairs.get(pair).map_or(i64::MIN, |pair| pair.pipelines.settled_until_ns())
    }

    /// Whether any event of this end of a pair came.
    pub fn has_seen(&self, pair: usize, side: Side) -> bool {
        self.pairs.get(pair).is_some_and(|pair| pair.pipelines.has_seen(side))
    }

    /// What became of the events of a pair so far.
    pub fn counts(&self, pair: usize) -> PairCounts {
        self.pairs.get(pair).map(|pair| pair.pipelines.counts()).unwrap_or_default()
    }

    /// The name of a frame's pipeline, by `pair.key.group`.
    pub fn pipeline(&self, number: u32) -> Pipeline<'_> {
        self.stages.pipeline(number)
    }

    /// The names of all pipelines, by their numbers.
    pub fn pipelines(&self) -> impl Iterator<Item = Pipeline<'_>> {
        self.stages.pipelines()
    }

    /// Forgets power that no frame needs. Events may come late: those of twice the settling time
    /// find theirs.
    fn forget(&mut self) {
        let late_ns = self.watermark_ns.saturating_sub(2 * SETTLING_NS);
        let needed = self.pairs.iter().map(StageFrames::first_needed_ns);
        self.power.forget_before(needed.fold(late_ns, i64::min));
    }
}
