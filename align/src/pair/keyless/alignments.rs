//! The likeliest alignments of all events so far, and how likely what they agree on is.

use std::collections::VecDeque;

use super::frames::Frames;
use super::path::{End, Move, Path};

/// Alignments kept, at most.
const PATHS: usize = 24;
/// Alignments this much less likely than the best are given up.
const COST_LIMIT: f64 = 14.0;
/// An alignment this much less likely than the one that it merges with takes nothing from it.
const DOUBT_LIMIT: f64 = 11.0;
/// Alignments that end at one frame are of one level where their latencies differ by less than this
/// share of a period; else one is shifted.
const SAME_LEVEL: f64 = 0.5;
/// What is proven well enough not to begin anew, how many events without end it, and what it costs.
const PROVEN: f64 = 0.99;
const START_ANEW_AFTER: u32 = 256;
const START_ANEW: f64 = 9.0;
/// A loser stands for as many again that were given up for it.
const LOSERS: f64 = 2.0;
/// Where latencies spread by more than these shares of a period, a drop is too easily taken for one
/// of its neighbours to tell it, and then a pair.
const MOST_SPREAD_OF_DROPS: f64 = 0.15;
const MOST_SPREAD_OF_PAIRS: f64 = 0.24;
/// Events looked back at for what all alignments have in common.
const LOOK_BACK: usize = 48;

/// What an alignment takes one `stage_b` event for.
#[derive(Clone, Copy)]
struct Step {
    /// The frame that it ends; `None`: an orphan.
    frame: Option<u64>,
    /// The alignment, of the event before, that this one goes on from.
    parent: usize,
    /// The first frame that was free before.
    free: u64,
}

/// An alignment that came to the same state as a likelier one, and was given up for it.
struct Loser {
    /// The likelier one's step.
    winner: usize,
    /// What it took the event for.
    frame: Option<u64>,
    /// The alignment, of the event before, that it came from.
    parent: usize,
    /// How likely it is beside the winner.
    probability: f64,
}

/// A `stage_b` event that is not decided, with the step of each alignment.
struct Undecided {
    ts_ns: i64,
    steps: Vec<Step>,
    losers: Vec<Loser>,
}

/// What a `stage_b` event was decided to be.
pub(super) struct Decision {
    pub ts_ns: i64,
    /// The frame that it ends; `None`: an orphan.
    pub frame: Option<u64>,
    /// The first frame that was free before.
    pub free: u64,
    /// The probability of this.
    pub confidence: f64,
    /// The probability, that of this aside, that frames left out before it were dropped.
    pub drops: f64,
}

/// A Viterbi search whose states are the first free frame and the level of the latency.
pub(super) struct Alignments {
    paths: Vec<Path>,
    undecided: VecDeque<Undecided>,
    window_ns: i64,
    /// Nanoseconds from frame to frame.
    period_ns: f64,
    /// Events since the likeliest alignment was proven, or another one began.
    unproven: u32,
    // Kept for their memory.
    moves: Vec<Move>,
    merged: Vec<(Move, Move)>,
    spare: Vec<Path>,
}

impl Alignments {
    pub fn new(window_ns: i64) -> Self {
        Self {
            paths: vec![Path::start()],
            undecided: VecDeque::new(),
            window_ns,
            period_ns: 1.0,
            unproven: 0,
            moves: Vec::new(),
            merged: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// How many events are undecided.
    pub fn len(&self) -> usize {
        self.undecided.len()
    }

    /// The time of an undecided event.
    pub fn ts_ns(&self, at: usize) -> Option<i64> {
        self.undecided.get(at).map(|undecided| undecided.ts_ns)
    }

    /// The probability that the likeliest alignment is not shifted by whole frames.
    pub fn proven(&self) -> f64 {
        self.paths[0].proven()
    }

    /// Extends every alignment by a `stage_b` event, and keeps the likeliest to each state.
    pub fn extend<P: Copy>(&mut self, ts_ns: i64, frames: &Frames<P>) {
        let mut moves = std::mem::take(&mut self.moves);
        moves.clear();
        let mut best = f64::INFINITY;
        let frames_of_end = (
            frames.since(ts_ns.saturating_sub(self.window_ns)),
            frames.since(ts_ns.saturating_add(1)),
        );
        self.period_ns = frames.period_ns();
        let before_ns = self.undecided.back().map(|undecided| undecided.ts_ns);
        self.start_anew(frames_of_end.0);
        let end = End { ts_ns, before_ns, frames: frames_of_end, period_ns: self.period_ns };
        for (parent, path) in self.paths.iter().enumerate() {
            let from = moves.len();
            path.add_moves(parent, end, frames, best + COST_LIMIT, &mut moves);
            best = moves[from..].iter().map(|to| to.cost).fold(best, f64::min);
        }
        moves.retain(|to| to.cost <= best + COST_LIMIT);
        moves.sort_unstable_by(|left, right| {
            left.next.cmp(&right.next).then(left.cost.total_cmp(&right.cost))
        });
        self.merge(&mut moves);
        moves.sort_unstable_by(|left, right| left.cost.total_cmp(&right.cost));
        moves.truncate(PATHS);
        self.follow(ts_ns, &moves, frames);
        self.moves = moves;
    }

    /// Lets a new alignment begin where none has been proven for long: the true one may have been
    /// given up, or the pipeline may have started anew.
    fn start_anew(&mut self, first: u64) {
        let lost = self.proven() < PROVEN || self.paths[0].is_orphaned();
        self.unproven = if lost { self.unproven + 1 } else { 0 };
        if self.unproven >= START_ANEW_AFTER {
            self.unproven = 0;
            self.paths.push(Path::start_anew(first, START_ANEW));
            // What went before it takes as the likeliest does.
            if let Some(undecided) = self.undecided.back_mut() {
                undecided.steps.push(undecided.steps[0]);
            }
        }
    }

    /// Keeps the likeliest of the moves that end at one state, first in each run of equal `next`.
    fn merge(&mut self, moves: &mut Vec<Move>) {
        let one_level_ns = SAME_LEVEL * self.period_ns;
        self.merged.clear();
        let (mut kept, mut run) = (0, 0);
        for at in 0..moves.len() {
            let to = moves[at];
            if kept > 0 && moves[kept - 1].next != to.next {
                run = kept;
            }
            let one_level = |other: &&Move| (other.level_ns - to.level_ns).abs() < one_level_ns;
            match moves[run..kept].iter().find(one_level) {
                Some(winner) if to.cost - winner.cost < DOUBT_LIMIT => {
                    self.merged.push((*winner, to));
                }
                Some(_) => {}
                None => {
                    moves[kept] = to;
                    kept += 1;
                }
            }
        }
        moves.truncate(kept);
    }

    fn follow<P: Copy>(&mut self, ts_ns: i64, moves: &[Move], frames: &Frames<P>) {
        let best = moves.first().map_or(0.0, |to| to.cost);
        self.spare.clear();
        self.spare.extend(moves.iter().map(|to| self.paths[to.parent].after(to, best, frames)));
        let step = |to: &Move| {
            let Move { frame, parent, .. } = *to;
            Step { frame, parent, free: self.paths[parent].next }
        };
        let steps = moves.iter().map(step).collect();
        let loser = |(winner, to): &(Move, Move)| {
            let is_winner = |of: &Move| (of.parent, of.frame) == (winner.parent, winner.frame);
            let (frame, parent) = (to.frame, to.parent);
            let probability = LOSERS * (winner.cost - to.cost).exp();
            let winner = moves.iter().position(is_winner)?;
            Some(Loser { winner, frame, parent, probability })
        };
        let losers = self.merged.iter().filter_map(loser).collect();
        std::mem::swap(&mut self.paths, &mut self.spare);
        self.undecided.push_back(Undecided { ts_ns, steps, losers });
    }

    /// How many events, from the oldest on, all alignments take for the same.
    pub fn agreed(&self) -> usize {
        // Alignments that began with another pair never come from one event.
        if self.paths.iter().any(|path| path.born != self.paths[0].born) {
            return 0;
        }
        let mut survivors: Vec<usize> = (0..self.paths.len()).collect();
        for (at, undecided) in self.undecided.iter().enumerate().rev().take(LOOK_BACK) {
            if survivors.len() == 1 {
                return at + 1;
            }
            survivors.iter_mut().for_each(|path| *path = undecided.steps[*path].parent);
            survivors.sort_unstable();
            survivors.dedup();
        }
        0
    }

    /// Decides the oldest events as the likeliest alignment has them.
    pub fn decide(&mut self, events: usize) -> Vec<Decision> {
        let weights: Vec<f64> = self.paths.iter().map(|path| (-path.cost).exp()).collect();
        let whole: f64 = weights.iter().sum();
        let spread = self.paths[0].spread_ns() / self.period_ns;
        let proven = if spread > MOST_SPREAD_OF_PAIRS { 0.0 } else { self.proven() };
        let drops = if spread > MOST_SPREAD_OF_DROPS { 0.0 } else { 1.0 };
        let mut doubts = vec![0.0; self.undecided.len()];
        let mut decisions = Vec::with_capacity(events);
        let mut at_step: Vec<usize> = (0..self.paths.len()).collect();
        for (at, undecided) in self.undecided.iter().enumerate().rev() {
            for loser in undecided.losers.iter().filter(|loser| loser.winner == at_step[0]) {
                self.doubt(at, loser, &mut doubts);
            }
            let step = &undecided.steps[at_step[0]];
            if at < events {
                let agree = at_step.iter().zip(&weights);
                let agree = agree.filter(|(other, _)| undecided.steps[**other].frame == step.frame);
                let share = agree.map(|(_, weight)| weight).sum::<f64>() / whole;
                let confidence = (share - doubts[at]).max(0.0) * proven;
                let (ts_ns, frame, free) = (undecided.ts_ns, step.frame, step.free);
                decisions.push(Decision { ts_ns, frame, free, confidence, drops });
            }
            at_step.iter_mut().for_each(|path| *path = undecided.steps[*path].parent);
        }
        decisions.reverse();
        self.undecided.drain(..events.min(self.undecided.len()));
        decisions
    }

    /// Doubts the events, from one on backwards, that a loser took otherwise than the winner.
    fn doubt(&self, at: usize, loser: &Loser, doubts: &mut [f64]) {
        let winner = &self.undecided[at].steps[loser.winner];
        let (mut ours, mut theirs) = (winner.parent, loser.parent);
        doubts[at] += if winner.frame == loser.frame { 0.0 } else { loser.probability };
        for before in (0..at).rev() {
            if ours == theirs {
                return;
            }
            let steps = &self.undecided[before].steps;
            let (our_step, their_step) = (&steps[ours], &steps[theirs]);
            let differ = our_step.frame != their_step.frame;
            doubts[before] += if differ { loser.probability } else { 0.0 };
            (ours, theirs) = (our_step.parent, their_step.parent);
        }
    }
}
