//! What a latency is expected to be, after those seen.

/// Latencies that a level is averaged over, at most.
const LEVEL_SAMPLES: f64 = 32.0;
/// Samples that the first spread counts for, and that a spread is averaged over at most.
const SPREAD_SAMPLES: (f64, f64) = (1.0, 64.0);
/// The spread before anything is known, as a share of the period.
const FIRST_SPREAD: f64 = 0.1;
/// A timer's resolution: a spread is never thought smaller.
const LEAST_SPREAD_NS: f64 = 20e3;
/// Deviations beyond three spreads move neither level nor spread further.
const MOST_SQUARED: f64 = 9.0;
/// One frame in a thousand is late or early by any amount, a few periods perhaps.
const STRAY: f64 = 1e-3;
/// One beyond four spreads is a stray, however heavy the tails.
const STRAY_SQUARED: f64 = 16.0;
/// The scale of a stray frame's deviation, in periods.
const STRAY_SCALE: f64 = 2.0;
/// Cost of the latency settling at another level, however far that is and however many latencies it
/// takes to see it. Dearer than a drop and an orphan together, which would explain the same.
const JUMP: f64 = 17.0;

/// A latency's distribution: normal around a running level, with a running spread (so Student's t
/// while few were seen), and a few strays.
#[derive(Clone, Copy, Debug)]
pub(super) struct LatencyModel {
    level_ns: f64,
    /// Latencies that the level is averaged over; 0: none was seen.
    samples: f64,
    spread: Spread,
    /// What the last strays in a row have cost, and the sum and number of their latencies.
    strain: f64,
    strained: (f64, f64),
}

/// What an alignment takes one latency for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// The negative logarithm of its density, relative to one event a period.
    pub cost: f64,
    /// Whether it is a stray.
    pub stray: bool,
}

impl LatencyModel {
    /// Nothing seen yet.
    pub fn new() -> Self {
        let spread = Spread::new(0.0);
        Self { level_ns: 0.0, samples: 0.0, spread, strain: 0.0, strained: (0.0, 0.0) }
    }

    /// The first latency.
    pub fn begin(latency_ns: f64, period_ns: f64) -> Self {
        let spread = Spread::new(FIRST_SPREAD * period_ns);
        Self { level_ns: latency_ns, samples: 1.0, spread, ..Self::new() }
    }

    /// Whether any latency has been seen.
    pub fn is_known(&self) -> bool {
        self.samples > 0.0
    }

    /// Whether only one was seen.
    pub fn is_new(&self) -> bool {
        self.samples == 1.0
    }

    /// The running level.
    pub fn level_ns(&self) -> f64 {
        self.level_ns
    }

    /// The running spread.
    pub fn spread_ns(&self) -> f64 {
        self.spread.variance.sqrt()
    }

    /// What a stray costs at least: -ln(STRAY / (2 STRAY_SCALE)).
    pub const LEAST_STRAY_COST: f64 = 8.294;

    /// Whether the latency is so far off that it can but be a stray.
    pub fn is_far(&self, latency_ns: f64) -> bool {
        let deviation_ns = latency_ns - self.level_ns;
        deviation_ns * deviation_ns > 50.0 * self.predicted()
    }

    /// What a latency is and costs.
    pub fn fit(&self, latency_ns: f64, period_ns: f64) -> Fit {
        let deviation_ns = latency_ns - self.level_ns;
        let variance = self.predicted();
        let scaled = deviation_ns / (STRAY_SCALE * period_ns);
        let stray = STRAY / (2.0 * STRAY_SCALE * (1.0 + scaled * scaled));
        let usual = period_ns * self.spread.log_density(deviation_ns, variance).exp();
        let cost = -(usual + stray).ln();
        let far = deviation_ns * deviation_ns > STRAY_SQUARED * variance;
        let stray = far || stray > usual;
        Fit { cost: if stray { cost.min(JUMP - self.strain) } else { cost }, stray }
    }

    /// Takes a latency in.
    pub fn observe(&mut self, latency_ns: f64, fit: Fit) {
        if fit.stray {
            self.strain += fit.cost;
            self.strained = (self.strained.0 + latency_ns, self.strained.1 + 1.0);
            if self.strain >= JUMP {
                (self.level_ns, self.samples) =
                    (self.strained.0 / self.strained.1, self.strained.1);
                self.spread.samples = SPREAD_SAMPLES.0;
                (self.strain, self.strained) = (0.0, (0.0, 0.0));
            }
            return;
        }
        (self.strain, self.strained) = (0.0, (0.0, 0.0));
        let deviation_ns = latency_ns - self.level_ns;
        let own = self.samples / (self.samples + 1.0);
        self.spread.observe(deviation_ns * deviation_ns * own);
        self.samples = (self.samples + 1.0).min(LEVEL_SAMPLES);
        self.level_ns += deviation_ns / self.samples;
    }

    /// The variance of the next latency: its own and that of the level, after so few.
    pub fn predicted(&self) -> f64 {
        self.spread.variance * (1.0 + 1.0 / self.samples)
    }
}

/// A running variance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub variance: f64,
    samples: f64,
}

impl Spread {
    pub fn new(spread_ns: f64) -> Self {
        let spread_ns = spread_ns.max(LEAST_SPREAD_NS);
        Self { variance: spread_ns * spread_ns, samples: SPREAD_SAMPLES.0 }
    }

    /// Takes a squared deviation in.
    pub fn observe(&mut self, squared: f64) {
        let squared = squared.min(MOST_SQUARED * self.variance);
        self.samples = (self.samples + 1.0).min(SPREAD_SAMPLES.1);
        let variance = self.variance + (squared - self.variance) / self.samples;
        self.variance = variance.max(LEAST_SPREAD_NS * LEAST_SPREAD_NS);
    }

    /// The logarithm of the density of the next deviation, were the variance this: Student's t.
    pub fn log_density(&self, deviation_ns: f64, variance: f64) -> f64 {
        let squared = deviation_ns * deviation_ns / variance;
        let freedom = self.samples;
        // The constant of the density is nearly that of the normal one, ln(1 / sqrt(2 pi)).
        let top = -0.918_94 + (-0.25 / freedom).ln_1p() - 0.5 * variance.ln();
        top - 0.5 * (freedom + 1.0) * (squared / freedom).ln_1p()
    }
}
