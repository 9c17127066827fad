//! The frames of one pair of stages, on their way to whoever asked for them.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::events::{Ends, EventColumns, Numbered, Stages};
use super::power::{PowerSeries, Reading};
use super::{DriverOptions, PATIENCE_NS, SETTLING_NS, Telling};
use crate::pair::{
    Fate, FrameKeys, MAX_KEYS, Pair, PairOptions, Paired, PairedBy, Pipelines, StageEvents,
};

/// A frame that entered `stage_a`, what became of it, and what it cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// What became of it. `carry` are its keys, in the order of [`KEYS`](super::KEYS), and `key.group` is the
    /// number of its [pipeline](super::Driver::pipeline).
    pub pair: Pair<FrameKeys>,
    /// How that was found; `None` where no event of the other stage was there to pair with.
    pub by: Option<PairedBy>,
    /// The sample at or before its beginning, within the tolerance.
    pub power: Option<Reading>,
    /// Joules from its beginning to its end; `None` where it has none, or power is not known.
    pub energy_j: Option<f64>,
    /// Whether nothing to come changes what it cost.
    pub is_settled: bool,
}

impl Frame {
    /// System power at its beginning, watts, where the sample has a reading.
    pub fn power_w(&self) -> Option<f64> {
        self.power.map(|power| power.sys_w).filter(|watts| !watts.is_nan())
    }

    /// How old that reading was, nanoseconds.
    pub fn power_age_ns(&self) -> Option<i64> {
        let power = self.power.filter(|power| !power.sys_w.is_nan())?;
        Some(self.pair.ts_ns.saturating_sub(power.ts_ns))
    }

    /// Whether it never ended; `None` where nobody can tell.
    pub fn dropped(&self) -> Option<bool> {
        match self.pair.fate() {
            Fate::Paired { .. } => Some(false),
            Fate::Dropped => Some(true),
            Fate::Ambiguous => None,
        }
    }
}

/// What is new of a pair of stages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Frames, each once.
    pub frames: Vec<Frame>,
    /// Frames that were taken before they were [settled](Frame::is_settled), now with what they
    /// cost, each once, where they cost anything that is known.
    pub costs: Vec<Frame>,
}

type Waiting = Paired<FrameKeys>;

/// One pair of stages.
pub(super) struct StageFrames {
    ends: Ends,
    pub pipelines: Pipelines<FrameKeys>,
    /// Finished frames that wait for power.
    waiting: VecDeque<Waiting>,
    /// Settled ones.
    told: Vec<Frame>,
    /// Those that went out without all of their power.
    late: Vec<Waiting>,
    has_left: bool,
}

impl StageFrames {
    pub fn new(ends: Ends, options: PairOptions) -> Self {
        Self {
            ends,
            pipelines: Pipelines::new(options),
            waiting: VecDeque::new(),
            told: Vec::new(),
            late: Vec::new(),
            has_left: false,
        }
    }

    pub fn push(&mut self, events: &EventColumns<'_>, numbers: &Numbered) {
        let keys = numbers.keys(events);
        let key = |(ids, nulls): (&[i64], Option<&arrow_buffer::NullBuffer>), row: usize| {
            nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| ids[row])
        };
        let carry = |row: usize| {
            let mut of_row: FrameKeys = [None; MAX_KEYS];
            for (of_row, column) in of_row.iter_mut().zip(keys) {
                *of_row = key(column, row);
            }
            of_row
        };
        let of_stages =
            StageEvents { ts_ns: events.ts_ns, keys: &keys, pipeline: Some(&numbers.pipeline) };
        self.pipelines.push_columns(&of_stages, |row| self.ends.side(numbers.stage[row]), carry);
    }

    pub fn leave(&mut self) {
        self.has_left = true;
        self.pipelines.leave();
    }

    pub fn ready(&self) -> usize {
        self.pipelines.ready() + self.waiting.len() + self.told.len()
    }

    /// Takes over what the pairing has finished.
    pub fn collect(&mut self, options: &DriverOptions, stages: &Stages) {
        let in_order = options.telling == Telling::InOrder;
        let mut rows = match in_order && !self.has_left {
            true => self.pipelines.take_settled(),
            false => self.pipelines.take(),
        };
        rows.retain(|row| row.pair.ts_ns >= options.from_ns);
        if in_order {
            rows.sort_by(|left, right| in_order_of_table(left, right, stages));
        }
        self.waiting.extend(rows);
    }

    /// Tells the frames that no sample to come changes, or none is awaited for.
    pub fn settle(&mut self, power: &mut PowerSeries, telling: Telling, now_ns: i64) {
        let told = &mut self.told;
        match telling {
            Telling::InOrder => {
                while let Some(row) =
                    self.waiting.pop_front_if(|row| is_settled(power, &row.pair, now_ns))
                {
                    told.push(frame(power, &row, true));
                }
            }
            Telling::AsTheyEnd => self.waiting.retain(|row| {
                let is_settled = is_settled(power, &row.pair, now_ns);
                if is_settled {
                    told.push(frame(power, row, true));
                }
                !is_settled
            }),
        }
    }

    /// The frames that began before an instant.
    pub fn take_in_order(&mut self, power: &mut PowerSeries, before_ns: i64) -> Taken {
        if self.has_left {
            self.told.extend(self.waiting.drain(..).map(|row| frame(power, &row, false)));
        }
        let due = match before_ns {
            i64::MAX => self.told.len(),
            _ => self.told.partition_point(|frame| frame.pair.ts_ns < before_ns),
        };
        let later = self.told.split_off(due);
        Taken { frames: std::mem::replace(&mut self.told, later), costs: Vec::new() }
    }

    /// The frames that ended and have waited for power long enough, and what others cost that did not.
    pub fn take_ended(&mut self, power: &mut PowerSeries, now_ns: i64) -> Taken {
        let mut taken = Taken::default();
        self.late.retain(|row| {
            let is_settled = is_settled(power, &row.pair, now_ns);
            if is_settled {
                let frame = frame(power, row, true);
                let is_known = frame.power_w().is_some() || frame.energy_j.is_some();
                taken.costs.extend(Some(frame).filter(|_| is_known));
            }
            !is_settled
        });
        taken.frames = std::mem::take(&mut self.told);
        self.waiting.retain(|row| {
            let age_ns = now_ns.saturating_sub(end_ns(&row.pair));
            if !power.is_awaited() && age_ns < PATIENCE_NS {
                return true;
            }
            taken.frames.push(frame(power, row, false));
            self.late.push(*row);
            false
        });
        taken
    }

    /// When the first of the frames began that wait for power.
    pub fn first_waiting_ns(&self) -> Option<i64> {
        self.waiting.front().map(|row| row.pair.ts_ns)
    }

    /// From when on power is needed.
    pub fn first_needed_ns(&self) -> i64 {
        let waiting = self.waiting.iter().chain(&self.late).map(|row| row.pair.ts_ns);
        let open_ns = self.pipelines.settled_until_ns();
        waiting.fold(open_ns, i64::min)
    }
}

/// When the frame arrived; when it began, where it did not.
fn end_ns(pair: &Pair<FrameKeys>) -> i64 {
    pair.ts_ns.saturating_add(pair.latency_ns.unwrap_or(0))
}

fn is_settled(power: &PowerSeries, pair: &Pair<FrameKeys>, now_ns: i64) -> bool {
    let end_ns = end_ns(pair);
    let has_energy = pair.latency_ns.is_some();
    power.settles_power(pair.ts_ns) && (!has_energy || power.settles_energy(end_ns))
        || now_ns.saturating_sub(end_ns) >= SETTLING_NS
}

/// The frame with what it cost, as far as that is certain.
fn frame(power: &mut PowerSeries, row: &Waiting, is_settled: bool) -> Frame {
    let Paired { pair, by } = *row;
    let end_ns = pair.latency_ns.map(|latency_ns| pair.ts_ns.saturating_add(latency_ns));
    let knows_power = is_settled || power.settles_power(pair.ts_ns);
    let energy_j = end_ns.filter(|end_ns| is_settled || power.settles_energy(*end_ns));
    let energy_j = energy_j.and_then(|end_ns| power.energy_j(pair.ts_ns, end_ns));
    let power = if knows_power { power.reading(pair.ts_ns) } else { None };
    Frame { pair, by, power, energy_j, is_settled }
}

/// The order of table `latency`. Pipelines are numbered as they come, which is no order where they
/// come at one instant: their names are.
fn in_order_of_table(left: &Waiting, right: &Waiting, stages: &Stages) -> Ordering {
    let name = |row: &Waiting| stages.pipeline(row.pair.key.group);
    let rest = |row: &Waiting| (row.pair.carry, row.pair.latency_ns);
    let (left_ns, right_ns) = (left.pair.ts_ns, right.pair.ts_ns);
    left_ns
        .cmp(&right_ns)
        .then_with(|| name(left).cmp(&name(right)).then_with(|| rest(left).cmp(&rest(right))))
}
