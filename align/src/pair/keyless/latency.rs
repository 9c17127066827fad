//! What a latency is expected to be, after those seen.

/// Latencies that the running centre is the median of: a single late frame does not move it.
const RECENT: usize = 21;
/// Samples that the first spread counts for, and that a spread is averaged over at most.
const SPREAD_SAMPLES: (f64, f64) = (4.0, 48.0);
/// The spread before anything is known.
const FIRST_SPREAD_NS: f64 = 4e6;
/// A timer's resolution: a spread is never thought smaller.
const LEAST_SPREAD_NS: f64 = 20e3;
/// Cost of the latency settling at another level, however far that is and however many latencies it
/// takes to see it. Dearer than a drop and an orphan together, which would explain the same.
const JUMP: f64 = 18.0;
/// A deviation that counts towards a jump, when it goes on.
const STRAIN: f64 = 2.0;
/// Degrees of freedom of Student's t: its tails are heavy, so a late frame is no catastrophe.
const FREEDOM: f64 = 4.0;
/// An orphan may lie anywhere between two frames: densities are relative to this.
const ORPHAN_SPREAD_NS: f64 = 20e6;
/// The scale on which a first latency becomes unlikely.
const FIRST_LATENCY_NS: f64 = 10e6;

/// A latency's distribution: Student's t around the median of recent ones, with a running spread.
#[derive(Clone, Debug)]
pub(super) struct LatencyModel {
    recent: [i64; RECENT],
    seen: usize,
    centre_ns: i64,
    variance: f64,
    spread_samples: f64,
    /// What the last deviations in a row have cost.
    strain: f64,
}

impl Default for LatencyModel {
    fn default() -> Self {
        Self {
            recent: [0; RECENT],
            seen: 0,
            centre_ns: 0,
            variance: FIRST_SPREAD_NS * FIRST_SPREAD_NS,
            spread_samples: SPREAD_SAMPLES.0,
            strain: 0.0,
        }
    }
}

impl LatencyModel {
    /// Whether any latency has been seen.
    pub fn is_known(&self) -> bool {
        self.seen > 0
    }

    /// What a latency costs: the negative logarithm of its density, relative to an orphan's.
    pub fn cost(&self, latency_ns: i64) -> f64 {
        match self.is_known() {
            false => 1.5 * (latency_ns as f64 / FIRST_LATENCY_NS).ln_1p(),
            true => self.deviation(latency_ns).min(JUMP - self.strain) - self.most_gained(),
        }
    }

    /// The cost of the likeliest latency, negated.
    pub fn most_gained(&self) -> f64 {
        match self.is_known() {
            false => 0.0,
            true => -0.5 * (self.predicted() / (ORPHAN_SPREAD_NS * ORPHAN_SPREAD_NS)).ln(),
        }
    }

    /// Takes a latency in.
    pub fn observe(&mut self, latency_ns: i64) {
        let deviation = self.deviation(latency_ns);
        if !self.is_known() || deviation > JUMP - self.strain {
            (self.seen, self.strain) = (0, 0.0);
        } else {
            self.strain = if deviation > STRAIN { self.strain + deviation } else { 0.0 };
            let residual = (latency_ns - self.centre_ns) as f64;
            let squared = (residual * residual).min(9.0 * self.variance);
            self.spread_samples = (self.spread_samples + 1.0).min(SPREAD_SAMPLES.1);
            let variance = self.variance + (squared - self.variance) / self.spread_samples;
            self.variance = variance.max(LEAST_SPREAD_NS * LEAST_SPREAD_NS);
        }
        self.recent[self.seen % RECENT] = latency_ns;
        self.seen += 1;
        let mut recent = self.recent;
        let recent = &mut recent[..self.seen.min(RECENT)];
        recent.sort_unstable();
        self.centre_ns = recent[recent.len() / 2];
    }

    fn deviation(&self, latency_ns: i64) -> f64 {
        let residual = (latency_ns - self.centre_ns) as f64;
        (FREEDOM + 1.0) / 2.0 * (residual * residual / (FREEDOM * self.predicted())).ln_1p()
    }

    /// The variance of the next latency: its own and that of the centre, after so few.
    fn predicted(&self) -> f64 {
        self.variance * (1.0 + 1.0 / self.seen.clamp(1, RECENT) as f64)
    }
}
