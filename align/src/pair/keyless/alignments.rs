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
    /// The probability of the alignments that have merged with this one and had it otherwise.
    doubt: f64,
}

/// A `stage_b` event that is not decided, with the step of each alignment.
struct Undecided {
    ts_ns: i64,
    steps: Vec<Step>,
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
}

/// A Viterbi search whose states are the first free frame and the level of the latency.
pub(super) struct Alignments {
    paths: Vec<Path>,
    undecided: VecDeque<Undecided>,
    window_ns: i64,
    moves: Vec<Move>,
    spare: Vec<Path>,
}

impl Alignments {
    pub fn new(window_ns: i64) -> Self {
        Self {
            paths: vec![Path::start()],
            undecided: VecDeque::new(),
            window_ns,
            moves: Vec::new(),
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
        let end = End { ts_ns, frames: frames_of_end, period_ns: frames.period_ns() };
        for (parent, path) in self.paths.iter().enumerate() {
            let from = moves.len();
            path.add_moves(parent, end, frames, best + COST_LIMIT, &mut moves);
            best = moves[from..].iter().map(|to| to.cost).fold(best, f64::min);
        }
        moves.retain(|to| to.cost <= best + COST_LIMIT);
        moves.sort_unstable_by(|left, right| {
            left.next.cmp(&right.next).then(left.cost.total_cmp(&right.cost))
        });
        self.merge(&mut moves, frames.period_ns());
        moves.sort_unstable_by(|left, right| left.cost.total_cmp(&right.cost));
        moves.truncate(PATHS);
        self.follow(ts_ns, &moves, frames);
        self.moves = moves;
    }

    /// Keeps the likeliest of the moves that end at one state, and doubts it as far as the others
    /// had it otherwise.
    fn merge(&mut self, moves: &mut Vec<Move>, period_ns: f64) {
        let mut kept = 0;
        for at in 0..moves.len() {
            let to = moves[at];
            let same = |other: &Move| {
                other.next == to.next && (other.level_ns - to.level_ns).abs() < 0.5 * period_ns
            };
            let from = moves[..kept].iter().rposition(|other| other.next != to.next);
            let from = from.map_or(0, |before| before + 1);
            match moves[from..kept].iter().position(same) {
                None => {
                    moves[kept] = to;
                    kept += 1;
                }
                Some(winner) => {
                    let winner = &mut moves[from + winner];
                    let difference = to.cost - winner.cost;
                    if difference < DOUBT_LIMIT {
                        let probability = (-difference).exp();
                        if winner.frame != to.frame {
                            winner.doubt += probability;
                        }
                        let (winner, loser) = (winner.parent, to.parent);
                        self.doubt(winner, loser, probability);
                    }
                }
            }
        }
        moves.truncate(kept);
    }

    /// Doubts the steps of an alignment that another one, which has merged with it, took otherwise.
    fn doubt(&mut self, mut winner: usize, mut loser: usize, probability: f64) {
        for undecided in self.undecided.iter_mut().rev() {
            if winner == loser {
                return;
            }
            let other = undecided.steps[loser];
            let step = &mut undecided.steps[winner];
            if step.frame != other.frame {
                step.doubt += probability;
            }
            (winner, loser) = (step.parent, other.parent);
        }
    }

    fn follow<P: Copy>(&mut self, ts_ns: i64, moves: &[Move], frames: &Frames<P>) {
        let best = moves.first().map_or(0.0, |to| to.cost);
        self.spare.clear();
        self.spare.extend(moves.iter().map(|to| self.paths[to.parent].after(to, best, frames)));
        let step = |to: &Move| Step {
            frame: to.frame,
            parent: to.parent,
            free: self.paths[to.parent].next,
            doubt: to.doubt,
        };
        let steps = moves.iter().map(step).collect();
        std::mem::swap(&mut self.paths, &mut self.spare);
        self.undecided.push_back(Undecided { ts_ns, steps });
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
        let proven = self.proven();
        let mut decisions = Vec::with_capacity(events);
        let mut at_step: Vec<usize> = (0..self.paths.len()).collect();
        for (at, undecided) in self.undecided.iter().enumerate().rev() {
            let step = &undecided.steps[at_step[0]];
            if at < events {
                let agree = at_step.iter().zip(&weights);
                let agree = agree.filter(|(other, _)| undecided.steps[**other].frame == step.frame);
                let share = agree.map(|(_, weight)| weight).sum::<f64>() / whole;
                let confidence = (share - step.doubt).max(0.0) * proven;
                let (ts_ns, frame, free) = (undecided.ts_ns, step.frame, step.free);
                decisions.push(Decision { ts_ns, frame, free, confidence });
            }
            at_step.iter_mut().for_each(|path| *path = undecided.steps[*path].parent);
        }
        decisions.reverse();
        self.undecided.drain(..events.min(self.undecided.len()));
        decisions
    }
}

#[cfg(test)]
impl Alignments {
    pub fn describe(&self) -> String {
        self.paths
            .iter()
            .take(6)
            .map(|p| format!("[{:.1} {} b{} {}]", p.cost, p.next, p.born, p.describe()))
            .collect()
    }
}
