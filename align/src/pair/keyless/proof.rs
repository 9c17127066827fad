//! Whether an alignment's frames are the true ones, or others that tick alike.

use super::latency::Spread;
use super::ticks::Tick;

/// Evidence is kept from growing beyond what a change of the shift may have to outweigh, and from
/// falling below what new evidence may have to make up for.
const BOUNDS: (f64, f64) = (-4.0, 40.0);
/// Evidence counts for half: the model's noise is simpler than that of the world.
const WEIGHT: f64 = 0.5;
/// The probability that `stage_b` shows a gap where the capture had none, and that one of the
/// capture's is not seen: a frame beside it was dropped, or there was no gap and an event was lost.
const UNRELATED: f64 = 0.02;
const UNSEEN: f64 = 0.3;

/// Evidence that `stage_b` repeats the irregularities of the very frames that an alignment gives it.
///
/// Latencies from the true frames vary less than latencies from when those frames were expected:
/// the capture's own jitter drops out. From frames that are shifted by whole periods they vary
/// more. Both are weighed by the ratio of their likelihoods, each with its running variance.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    actual: Spread,
    expected: Spread,
    log_ratio: f64,
}

impl Proof {
    /// No evidence yet.
    pub fn new(spread_ns: f64) -> Self {
        let spread = Spread::new(spread_ns);
        Self { actual: spread, expected: spread, log_ratio: 0.0 }
    }

    /// The probability that the alignment is not shifted, where shifts are as likely as not.
    pub fn probability(&self) -> f64 {
        1.0 / (1.0 + (-WEIGHT * self.log_ratio).exp())
    }

    /// Takes in how far a latency is from its level, and its frame's tick. `follows`: both events
    /// follow those of the pair before, at the usual latency.
    pub fn observe(&mut self, deviation_ns: f64, tick: Tick, follows: bool) {
        let expected_ns = deviation_ns + tick.deviation_ns;
        let mut gain = self.actual.log_density(deviation_ns, self.actual.variance)
            - self.expected.log_density(expected_ns, self.expected.variance);
        if let Some(rate) = tick.gap {
            let by_chance = (UNRELATED + rate).min(1.0 - UNSEEN);
            gain += match follows {
                true => ((1.0 - UNSEEN) / by_chance).ln(),
                false => (UNSEEN / (1.0 - by_chance)).ln(),
            };
        }
        self.log_ratio = (self.log_ratio + gain).clamp(BOUNDS.0, BOUNDS.1);
        self.actual.observe(deviation_ns * deviation_ns);
        self.expected.observe(expected_ns * expected_ns);
    }
}
