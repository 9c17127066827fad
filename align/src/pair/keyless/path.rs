//! One alignment of all events so far.

use super::frames::Frames;
use super::latency::{Fit, LatencyModel};
use super::proof::Proof;

/// Costs are negative logarithms of probabilities. One drop in 50 frames.
const DROP: f64 = 3.9;
/// Further drops in a row, times the logarithm of how many: bursts have no typical length.
const DROP_ON: f64 = 2.0;
/// Drops before the first pair, beside the logarithm of how many: pipelines start up slowly.
const DROP_FIRST: f64 = 3.0;
/// A lost `stage_a` event: one in 8,000.
const ORPHAN: f64 = 9.0;
/// An orphan after an orphan.
const ORPHAN_ON: f64 = 3.0;
/// One frame more on its way at once: latencies of few periods are likelier, but not by much.
const IN_FLIGHT: f64 = 0.25;
/// The level of an alignment that has none.
const UNBORN_LEVEL_NS: f64 = -1e18;

/// A `stage_b` event.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub ts_ns: i64,
    /// The event before, where it is not decided.
    pub before_ns: Option<i64>,
    /// The first frame that it may end, and the one after the last.
    pub frames: (u64, u64),
    /// Nanoseconds from frame to frame.
    pub period_ns: f64,
}

/// An alignment's continuation by one `stage_b` event.
#[derive(Clone, Copy)]
pub(super) struct Move {
    pub cost: f64,
    /// Which alignment goes on.
    pub parent: usize,
    /// The frame that the event ends; `None`: an orphan.
    pub frame: Option<u64>,
    /// The first frame that is free after it.
    pub next: u64,
    /// The level of the latency before it, or the first latency.
    pub level_ns: f64,
    latency_ns: f64,
    fit: Fit,
}

/// An alignment of all events so far.
#[derive(Clone)]
pub(super) struct Path {
    pub cost: f64,
    /// Number of the first frame that is still free.
    pub next: u64,
    /// How many orphans went before its first pair.
    pub born: u64,
    latency: LatencyModel,
    /// Whether the last `stage_b` event was taken for an orphan.
    orphaned: bool,
    /// Whether its frames are the true ones.
    proof: Proof,
}

impl Path {
    /// Nothing aligned yet.
    pub fn start() -> Self {
        Self {
            cost: 0.0,
            next: 0,
            born: 0,
            latency: LatencyModel::new(),
            orphaned: false,
            proof: Proof::new(0.0),
        }
    }

    /// Nothing aligned from here on.
    pub fn start_anew(next: u64, cost: f64) -> Self {
        Self { cost, next, born: 1, ..Self::start() }
    }

    /// The probability that the frames are the true ones and not shifted by whole frames.
    pub fn proven(&self) -> f64 {
        self.proof.probability()
    }

    /// The running spread of its latencies.
    pub fn spread_ns(&self) -> f64 {
        self.latency.spread_ns()
    }

    /// Whether the last event was taken for an orphan.
    pub fn is_orphaned(&self) -> bool {
        self.orphaned
    }

    /// The moves that can be made within a limit of cost: an orphan, or any frame not after the
    /// event.
    pub fn add_moves<P: Copy>(
        &self,
        parent: usize,
        end: End,
        frames: &Frames<P>,
        limit: f64,
        moves: &mut Vec<Move>,
    ) {
        let next = self.next.max(end.frames.0);
        let known = self.latency.is_known();
        let level_ns = if known { self.latency.level_ns() } else { UNBORN_LEVEL_NS };
        let orphan = Fit { cost: self.orphan_cost(end), stray: false };
        if self.cost + orphan.cost <= limit {
            let (cost, frame) = (self.cost + orphan.cost, None);
            let (latency_ns, fit) = (0.0, orphan);
            moves.push(Move { cost, parent, frame, next, level_ns, latency_ns, fit });
        }
        for number in next..end.frames.1 {
            let Some(frame) = frames.get(number) else { break };
            let latency_ns = end.ts_ns.saturating_sub(frame.ts_ns) as f64;
            let drops = number - next;
            if known && self.latency.is_far(latency_ns) {
                let affordable = drops < 2
                    && self.cost + self.drop_cost(drops) + LatencyModel::LEAST_STRAY_COST <= limit;
                match affordable {
                    true => {}
                    false if latency_ns < level_ns => break,
                    false => continue,
                }
            }
            let (level_ns, fit) = match known {
                true => (level_ns, self.latency.fit(latency_ns, end.period_ns)),
                false => (latency_ns, self.birth(number, latency_ns, end, frames)),
            };
            let cost = self.cost + self.drop_cost(drops) + fit.cost;
            if cost <= limit {
                let (frame, next) = (Some(number), number + 1);
                moves.push(Move { cost, parent, frame, next, level_ns, latency_ns, fit });
            }
        }
    }

    /// What it costs that a latency is the first.
    fn birth<P: Copy>(&self, number: u64, latency_ns: f64, end: End, frames: &Frames<P>) -> Fit {
        let waiting = (end.frames.1 - number - 1).saturating_sub(self.born);
        // The events before belong to frames before the recording: they are too early for the
        // first of its own.
        let first = frames.get(end.frames.0).filter(|_| self.born > 0);
        let after_first = first.zip(end.before_ns).map(|(f, ns)| ns.saturating_sub(f.ts_ns) as f64);
        let fits = after_first.is_none_or(|ns| ns < latency_ns - 0.5 * end.period_ns);
        let cost = IN_FLIGHT * waiting as f64 + if fits { 0.0 } else { ORPHAN };
        Fit { cost, stray: false }
    }

    /// What it costs to take the event for an orphan.
    fn orphan_cost(&self, end: End) -> f64 {
        match self.latency.is_known() {
            true if self.orphaned => ORPHAN_ON,
            true => ORPHAN,
            // Its frame began before the recording did. Where frames have been recorded before the
            // very first event, those before them must have been dropped.
            false if self.born == 0 => IN_FLIGHT + self.burst_cost(end.frames.1.saturating_sub(1)),
            false => IN_FLIGHT,
        }
    }

    /// What it costs to drop so many frames before the next pair.
    fn drop_cost(&self, drops: u64) -> f64 {
        match self.latency.is_known() {
            _ if drops == 0 => 0.0,
            false => DROP_FIRST + (drops as f64).ln(),
            true => self.burst_cost(drops),
        }
    }

    fn burst_cost(&self, drops: u64) -> f64 {
        if drops == 0 { 0.0 } else { DROP + DROP_ON * (drops as f64).ln() }
    }

    /// This alignment after a move, its cost counted from `best`.
    pub fn after<P: Copy>(&self, to: &Move, best: f64, frames: &Frames<P>) -> Self {
        let mut path = Self { cost: to.cost - best, next: to.next, ..self.clone() };
        path.orphaned = to.frame.is_none();
        let Some(frame) = to.frame.and_then(|number| frames.get(number)) else {
            path.born += u64::from(!self.latency.is_known());
            return path;
        };
        if !self.latency.is_known() {
            path.latency = LatencyModel::begin(to.latency_ns, frames.period_ns());
            path.proof = Proof::new(path.latency.spread_ns());
            return path;
        }
        if self.latency.is_new() {
            // The first frames' period was not known before.
            path.latency = LatencyModel::begin(self.latency.level_ns(), frames.period_ns());
            path.proof = Proof::new(path.latency.spread_ns());
        }
        let follows = to.frame == Some(self.next) && !self.orphaned && !to.fit.stray;
        path.proof.observe(to.latency_ns - self.latency.level_ns(), frame.tick, follows);
        path.latency.observe(to.latency_ns, to.fit);
        path
    }
}
