//! Pairing without a key: in order, with the drops found.
//!
//! Frames keep their order, so the pairs are a monotone matching of the two series of stamps. The
//! likeliest one is sought: a [latency that varies around a running centre](LatencyModel), few
//! drops, fewer orphans. It is a Viterbi search whose state is the frame that the last `stage_b`
//! event ended; each survivor carries its own latency model, so that alignments shifted by whole
//! frames are weighed by how well their latencies hold together. A pair is decided when all
//! survivors agree on it, or a window after its `stage_b` event.
//!
//! What stamps cannot tell: where `stage_a` ticks evenly, a shift by whole frames from the very start
//! looks the same as a longer latency; the first events are then taken for a pair. And where the
//! latency jitters by more than about a fifth of a frame's period, a drop is easily taken for one
//! of its neighbours.

mod latency;

use std::collections::VecDeque;

use super::{Event, Key, PairCounts, PairOptions, Pairs, Reorder, Side, Wanted, rows::DROPPED};
use latency::LatencyModel;

/// The least probability at which a pair or a drop is told. A row that is less likely is told as
/// ambiguous.
pub const SURE: f32 = 0.999;

/// Costs are negative logarithms of probabilities. One drop in 50 frames.
const DROP: f64 = 3.9;
/// Further drops in a row, times the logarithm of how many: bursts have no typical length.
const DROP_ON: f64 = 2.0;
/// Drops before the first pair, beside the logarithm of how many: pipelines start up slowly.
const DROP_FIRST: f64 = 6.0;
/// A lost `stage_a` event: one in 3,000.
const ORPHAN: f64 = 8.0;
/// An orphan after an orphan.
const ORPHAN_ON: f64 = 1.0;
/// An orphan before the first pair: its frame began before the recording did.
const ORPHAN_FIRST: f64 = 6.0;

/// Going on otherwise than was decided: the evidence has to outweigh a frame given up.
const SWITCH: f64 = 10.0;

/// Survivors kept, at most.
const PATHS: usize = 24;
/// Survivors this much less likely than the best are given up.
const COST_LIMIT: f64 = 18.0;
/// `stage_b` events undecided, at most: bounds memory where events are very dense.
const UNDECIDED: usize = 256;

/// An alignment of all events so far.
#[derive(Clone)]
struct Path {
    cost: f64,
    /// Number of the first frame that is still free.
    next: u64,
    latency: LatencyModel,
    /// Whether the last `stage_b` event was taken for an orphan.
    orphaned: bool,
    /// Whether it has paid for not being what was decided.
    switched: bool,
}

/// A path's continuation by one `stage_b` event.
struct Move {
    cost: f64,
    next: u64,
    latency_ns: i64,
    step: Step,
}

/// What a path takes one `stage_b` event for.
#[derive(Clone, Copy)]
struct Step {
    /// The frame that it ends; `None`: an orphan.
    frame: Option<u64>,
    /// The survivor, of the event before, that the path comes from.
    parent: usize,
}

/// A `stage_b` event that is not decided, with the step of each survivor.
struct Undecided {
    ts_ns: i64,
    steps: Vec<Step>,
}

/// Pairs the events of two stages that have no key, within one pipeline. `P` is handed through from
/// each `stage_a` event to its row; a row's `id` is the frame's number at `stage_a`, from 0.
///
/// Rows come in order of `stage_a`, a window after the `stage_b` event at the latest. The order in
/// [`PairOptions`] is not heeded: a pair can only be told from what follows it.
pub struct KeylessPairer<P = ()> {
    options: PairOptions,
    group: u32,
    reorder: Reorder<P>,
    watermark_ns: i64,
    /// Frames without a row, with the number of the first.
    frames: VecDeque<(i64, P)>,
    first: u64,
    /// `stage_b` events at the watermark: a frame of the same time may still come.
    arrived: VecDeque<i64>,
    undecided: VecDeque<Undecided>,
    paths: Vec<Path>,
    rows: Pairs<P>,
    counts: PairCounts,
}

impl<P: Copy + Default> KeylessPairer<P> {
    /// Nothing seen yet. `group` goes into the rows' keys.
    pub fn new(group: u32, options: PairOptions) -> Self {
        let start = Path {
            cost: 0.0,
            next: 0,
            latency: LatencyModel::default(),
            orphaned: false,
            switched: false,
        };
        Self {
            options,
            group,
            reorder: Reorder::new(),
            watermark_ns: i64::MIN,
            frames: VecDeque::new(),
            first: 0,
            arrived: VecDeque::new(),
            undecided: VecDeque::new(),
            paths: vec![start],
            rows: Pairs::default(),
            counts: PairCounts::default(),
        }
    }

    /// Takes one event; its key is not looked at. One that is later than the lateness allowed is
    /// counted as late, or as an orphan, and left out.
    pub fn push(&mut self, event: Event<P>) {
        let watermark_ns = event.ts_ns.saturating_sub(self.options.lateness_ns.max(0));
        match event.side {
            Side::A if event.ts_ns < self.watermark_ns => self.counts.late += 1,
            Side::B if event.ts_ns < self.watermark_ns => self.counts.orphans += 1,
            _ if watermark_ns < event.ts_ns => self.reorder.push(event),
            _ => self.accept(event),
        }
        self.advance(watermark_ns);
    }

    /// Tells that every event before `watermark_ns` has been pushed.
    pub fn advance(&mut self, watermark_ns: i64) {
        while let Some(event) = self.reorder.pop_until(watermark_ns) {
            self.accept(event);
        }
        self.proceed(watermark_ns);
    }

    /// Tells that no event will come any more.
    pub fn finish(&mut self) {
        self.advance(i64::MAX);
        while let Some(ts_ns) = self.arrived.pop_front() {
            self.extend(ts_ns);
        }
        while !self.undecided.is_empty() {
            self.decide();
        }
        while !self.frames.is_empty() {
            self.close(None);
        }
    }

    /// The rows that are finished, and forgets them.
    pub fn take(&mut self) -> Pairs<P> {
        std::mem::take(&mut self.rows)
    }

    /// What became of the events so far.
    pub fn counts(&self) -> PairCounts {
        self.counts
    }

    /// Every frame that began before this time has its row.
    pub fn settled_until_ns(&self) -> i64 {
        self.frames.front().map_or(self.watermark_ns, |frame| frame.0.min(self.watermark_ns))
    }

    fn accept(&mut self, event: Event<P>) {
        self.proceed(event.ts_ns);
        match event.side {
            Side::A => self.frames.push_back((event.ts_ns, event.carry)),
            Side::B => self.arrived.push_back(event.ts_ns),
        }
    }

    /// Moves the watermark on. What is decided depends on the events only, not on when this is
    /// called: streams and batches give the same rows.
    fn proceed(&mut self, watermark_ns: i64) {
        if watermark_ns <= self.watermark_ns {
            return;
        }
        self.watermark_ns = watermark_ns;
        while let Some(ts_ns) = self.arrived.pop_front_if(|ts_ns| *ts_ns < watermark_ns) {
            self.extend(ts_ns);
            self.decide_agreed();
        }
        let window_ns = self.options.window_ns.max(0);
        let due = |undecided: &Undecided| undecided.ts_ns.saturating_add(window_ns) <= watermark_ns;
        while self.undecided.front().is_some_and(due) {
            self.decide();
        }
        let open_ns = self.undecided.front().map_or(watermark_ns, |undecided| undecided.ts_ns);
        while self.frames.front().is_some_and(|f| f.0.saturating_add(window_ns) < open_ns) {
            self.close(None);
        }
    }

    /// Extends every path by a `stage_b` event, and keeps the likeliest path to each state.
    fn extend(&mut self, ts_ns: i64) {
        let mut moves = Vec::with_capacity(self.paths.len() * 4);
        for (parent, path) in self.paths.iter().enumerate() {
            self.add_moves(parent, path, ts_ns, &mut moves);
        }
        moves.sort_unstable_by(|left, right| {
            left.next.cmp(&right.next).then(left.cost.total_cmp(&right.cost))
        });
        moves.dedup_by_key(|to| to.next);
        moves.sort_unstable_by(|left, right| left.cost.total_cmp(&right.cost));
        let best = moves[0].cost;
        moves.truncate(PATHS);
        moves.retain(|to| to.cost <= best + COST_LIMIT);
        self.paths = moves.iter().map(|to| self.paths[to.step.parent].after(to, best)).collect();
        let steps = moves.into_iter().map(|to| to.step).collect();
        self.undecided.push_back(Undecided { ts_ns, steps });
    }

    /// The moves that one path can make: an orphan, or any frame not after the event.
    fn add_moves(&self, parent: usize, path: &Path, ts_ns: i64, moves: &mut Vec<Move>) {
        let next = path.next.max(self.first);
        let orphan = Step { frame: None, parent };
        moves.push(Move {
            cost: path.cost + path.orphan_cost(),
            next,
            latency_ns: 0,
            step: orphan,
        });
        for frame in next..self.first + self.frames.len() as u64 {
            let frame_ns = self.frames[(frame - self.first) as usize].0;
            let cost = path.cost + path.drop_cost(frame - next);
            if frame_ns > ts_ns || cost > 2.0 * COST_LIMIT {
                break;
            }
            let latency_ns = ts_ns.saturating_sub(frame_ns);
            if latency_ns <= self.options.window_ns {
                let cost = cost + path.latency.cost(latency_ns);
                let step = Step { frame: Some(frame), parent };
                moves.push(Move { cost, next: frame + 1, latency_ns, step });
            }
        }
    }

    /// Decides the `stage_b` events that all survivors take for the same, and one more where too
    /// many are open.
    fn decide_agreed(&mut self) {
        let mut survivors: Vec<usize> = (0..self.paths.len()).collect();
        let mut agreed = 0;
        for (at, undecided) in self.undecided.iter().enumerate().rev() {
            if survivors.len() == 1 {
                agreed = at + 1;
                break;
            }
            survivors.iter_mut().for_each(|path| *path = undecided.steps[*path].parent);
            survivors.sort_unstable();
            survivors.dedup();
        }
        for _ in 0..agreed.max(self.undecided.len().saturating_sub(UNDECIDED)) {
            self.decide();
        }
    }

    /// Decides the oldest open `stage_b` event as the likeliest path has it. Paths that have it
    /// otherwise pay for it, once.
    fn decide(&mut self) {
        let origins: Vec<usize> = (0..self.paths.len()).map(|path| self.origin(path)).collect();
        let Some(oldest) = self.undecided.pop_front() else { return };
        let path = origins[0];
        for (survivor, origin) in self.paths.iter_mut().zip(origins) {
            let switched = origin != path;
            survivor.cost += if switched && !survivor.switched { SWITCH } else { 0.0 };
            survivor.switched = switched;
        }
        match oldest.steps[path].frame.filter(|frame| *frame >= self.first) {
            None => self.counts.orphans += 1,
            Some(frame) => {
                while self.first < frame {
                    self.close(None);
                }
                self.close(Some(oldest.ts_ns));
            }
        }
    }

    /// Where a survivor comes from among the steps of the oldest open event.
    fn origin(&self, survivor: usize) -> usize {
        let later = self.undecided.iter().skip(1).rev();
        later.fold(survivor, |path, undecided| undecided.steps[path].parent)
    }

    /// Writes the row of the oldest frame.
    fn close(&mut self, end_ns: Option<i64>) {
        let Some((ts_ns, carry)) = self.frames.pop_front() else { return };
        let key = Key { group: self.group, id: self.first as i64 };
        self.first += 1;
        match end_ns {
            Some(end_ns) => {
                self.counts.paired += 1;
                self.rows.push_unsure(ts_ns, key, end_ns.saturating_sub(ts_ns), 1.0, carry);
            }
            None => {
                self.counts.dropped += 1;
                if self.options.wanted == Wanted::All {
                    self.rows.push_unsure(ts_ns, key, DROPPED, 1.0, carry);
                }
            }
        }
    }
}

impl Path {
    /// What it costs to take the event for an orphan.
    fn orphan_cost(&self) -> f64 {
        match self.latency.is_known() {
            false => ORPHAN_FIRST,
            true if self.orphaned => ORPHAN_ON,
            true => ORPHAN,
        }
    }

    /// What it costs to drop so many frames before the next pair.
    fn drop_cost(&self, drops: u64) -> f64 {
        match self.latency.is_known() {
            _ if drops == 0 => 0.0,
            false => DROP_FIRST + (drops as f64).ln(),
            true => DROP + DROP_ON * (drops as f64).ln(),
        }
    }

    /// This path after a move, its cost counted from `best`.
    fn after(&self, to: &Move, best: f64) -> Self {
        let mut path = Self { cost: to.cost - best, next: to.next, ..self.clone() };
        path.orphaned = to.step.frame.is_none();
        if !path.orphaned {
            path.latency.observe(to.latency_ns);
        }
        path
    }
}

#[cfg(test)]
mod tests;
