//! Pipelines that know the truth, and how pairing does on them.

use super::KeylessPairer;
use crate::pair::{Event, Fate, Key, Pair, PairCounts, PairOptions, Side};

pub(super) const MS: f64 = 1e6;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.share()).ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// Nanoseconds, by the frame's number.
pub(super) type Latency = fn(u64) -> f64;

/// Whether something happens to a frame, by its number.
pub(super) type Happens = fn(u64) -> bool;

/// A pipeline whose frames keep their order.
#[derive(Clone, Copy)]
pub(super) struct Pipeline {
    pub frames: u64,
    pub period_ns: f64,
    /// How much the capture's tick jitters: the standard deviation.
    pub tick_jitter_ns: f64,
    /// Latency of a frame before its jitter, times the period where that is not 0.
    pub latency_ns: Latency,
    pub latency_periods: f64,
    /// The standard deviation of the latency, as a share of it.
    pub jitter: f64,
    /// How many frames are dropped at random.
    pub dropped: f64,
    /// Whether a frame never reaches `stage_b`, beside those at random.
    pub drops: Happens,
    /// Whether a frame's `stage_a` event is lost.
    pub lost: Happens,
    /// Whether the capture leaves a frame out.
    pub skipped: Happens,
    /// Frames that began before the recording did.
    pub before: u64,
    /// Whether the very first frame is never dropped at random.
    pub first_kept: bool,
    /// How long rows may wait for evidence, where not for a window.
    pub hold_ns: Option<i64>,
}

impl Pipeline {
    /// 50 s at 60 frames/s, 2 % of which are dropped; latencies jitter by 10 %.
    pub fn new(latency_ns: Latency) -> Self {
        let never = |_| false;
        Self {
            frames: 3_000,
            period_ns: 1e9 / 60.0,
            tick_jitter_ns: 0.5 * MS,
            latency_ns,
            latency_periods: 0.0,
            jitter: 0.1,
            dropped: 0.02,
            drops: never,
            lost: never,
            skipped: never,
            before: 0,
            first_kept: true,
            hold_ns: None,
        }
    }

    /// The events, `carry` being the frame's number, and the end of each frame that has one.
    pub fn run(&self, seed: u64) -> (Vec<Event<u64>>, Vec<Option<i64>>) {
        let mut random = Random(seed);
        let mut events = Vec::new();
        let mut truth = Vec::new();
        let mut last_ns = 0;
        // The recording begins somewhere between two frames.
        let begin = self.before as f64 - if self.before > 0 { random.share() } else { 0.0 };
        for frame in 0..self.before + self.frames {
            let ts_ns = frame as f64 * self.period_ns + random.normal() * self.tick_jitter_ns;
            let ts_ns = (ts_ns as i64).max(0);
            let latency_ns = (self.latency_ns)(frame) + self.latency_periods * self.period_ns;
            let latency_ns = latency_ns * (1.0 + self.jitter * random.normal());
            let random_drop = random.share() < self.dropped && !(self.first_kept && frame == 0);
            let end_ns = (ts_ns + latency_ns.max(0.1 * MS) as i64).max(last_ns + 100_000);
            let key = Key { group: 0, id: frame as i64 };
            let skipped = (self.skipped)(frame);
            let lost = (self.lost)(frame) || skipped;
            if !lost {
                events.push(Event { ts_ns, key, side: Side::A, carry: frame });
            }
            let reached = !random_drop && !(self.drops)(frame) && !skipped;
            if reached {
                last_ns = end_ns;
                events.push(Event { ts_ns: end_ns, key, side: Side::B, carry: frame });
            }
            truth.push((reached && !lost).then_some(end_ns));
        }
        events.sort_by_key(|event| event.ts_ns);
        events.retain(|event| event.ts_ns as f64 >= begin * self.period_ns);
        (events, truth)
    }

    /// How pairing does on a run.
    pub fn score(&self, seed: u64) -> Score {
        let (events, truth) = self.run(seed);
        let options = PairOptions::default();
        let hold_ns = self.hold_ns.unwrap_or(options.window_ns);
        let (rows, _) = pair_by(KeylessPairer::new(0, PairOptions { hold_ns, ..options }), &events);
        let mut score = Score::default();
        for row in rows {
            let end_ns = truth[row.carry as usize];
            score.pairs += u64::from(end_ns.is_some());
            match row.fate() {
                Fate::Paired { latency_ns } => {
                    score.told += 1;
                    score.true_told += u64::from(end_ns == Some(row.ts_ns + latency_ns));
                }
                Fate::Dropped => {
                    score.told_drops += 1;
                    score.true_drops += u64::from(end_ns.is_none());
                }
                Fate::Ambiguous => {}
            }
        }
        score
    }

    /// The scores of some runs together.
    pub fn scores(&self, seeds: std::ops::Range<u64>) -> Score {
        seeds.map(|seed| self.score(seed)).fold(Score::default(), Score::add)
    }
}

/// How many rows are told, and how many are true.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Score {
    /// Pairs that there are.
    pub pairs: u64,
    /// Pairs told as sure, and those of them that there are.
    pub told: u64,
    pub true_told: u64,
    /// Drops told as sure, and those of them that there are.
    pub told_drops: u64,
    pub true_drops: u64,
    /// Runs in which more than one pair in a hundred is false.
    pub shifted: u64,
}

impl Score {
    pub fn add(self, more: Self) -> Self {
        let shifted = |of: Self| {
            of.shifted + u64::from(of.shifted == 0 && (of.told - of.true_told) * 100 > of.told)
        };
        Self {
            pairs: self.pairs + more.pairs,
            told: self.told + more.told,
            true_told: self.true_told + more.true_told,
            told_drops: self.told_drops + more.told_drops,
            true_drops: self.true_drops + more.true_drops,
            shifted: self.shifted + shifted(more),
        }
    }

    /// The share of the pairs told that are true.
    pub fn truth(&self) -> f64 {
        if self.told == 0 { 1.0 } else { self.true_told as f64 / self.told as f64 }
    }

    /// Whether 999 of 1,000 that are told are true, pairs and drops.
    pub fn is_true(&self) -> bool {
        self.truth() >= 0.999 && self.drop_truth() >= 0.999
    }

    /// The share of the pairs that are told.
    pub fn recall(&self) -> f64 {
        self.true_told as f64 / self.pairs.max(1) as f64
    }

    /// The share of the drops told that are true.
    pub fn drop_truth(&self) -> f64 {
        if self.told_drops == 0 { 1.0 } else { self.true_drops as f64 / self.told_drops as f64 }
    }
}

pub(super) fn pair(events: &[Event<u64>]) -> (Vec<Pair<u64>>, PairCounts) {
    pair_by(KeylessPairer::new(0, PairOptions::default()), events)
}

pub(super) fn pair_by(
    mut pairer: KeylessPairer<u64>,
    events: &[Event<u64>],
) -> (Vec<Pair<u64>>, PairCounts) {
    events.iter().for_each(|event| pairer.push(*event));
    pairer.finish();
    (pairer.take().iter().collect(), pairer.counts())
}
