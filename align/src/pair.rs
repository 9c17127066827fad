//! Pairing of the events of two stages: which `stage_b` event ends the frame that a `stage_a` event
//! began.
//!
//! **By key.** Two events pair when their keys are equal and `0 <= ts_b - ts_a <= window`. A
//! `stage_b` event, in order of time, ends the newest open frame of its key: of a frame that was
//! numbered like one before it, the one before is dead. Where the keys of `stage_a` go back, a new
//! generation begins (a restart, a counter that ran over): once one of its frames has ended, those
//! of older ones never will. What stays unmatched is *dropped* (`stage_a`) or an *orphan*
//! (`stage_b`).
//!
//! **Without a key** [`KeylessPairer`] seeks the likeliest pairing in order, and tells a row as
//! ambiguous where timing leaves another one possible. [`PipelinePairer`] takes the one or the other,
//! by the evidence of the keys that a pipeline's events tell; [`Pipelines`] does so for any number of
//! pipelines.
//!
//! One core serves streams and batches: [`Pairer`] takes events as they come, one by one or as
//! columns, and gives rows out either [as they complete](Order::Completed) or
//! [in order of `stage_a`](Order::StageA). Memory is bounded by what is open within the window.

mod evidence;
mod generation;
mod keyless;
mod pipeline;
mod pipelines;
mod queue;
mod reorder;
mod rows;
mod split;
mod stages;

#[cfg(test)]
mod tests;

use arrow_buffer::NullBuffer;

pub use evidence::{FrameKeys, KeyColumn, MAX_KEYS, PairedBy};
use generation::{Lane, Tally};
pub use keyless::{KeylessPairer, SURE};
pub use pipeline::{Paired, PipelinePairer, StageEvents};
pub use pipelines::Pipelines;
use queue::Queue;
use reorder::Reorder;
pub use rows::{Fate, Pair, PairArrays, Pairs};
use split::{CHUNK, Split};
pub(crate) use stages::of_names;
pub use stages::{StageError, sides};

/// The window where none is configured: 2 s.
pub const DEFAULT_WINDOW_NS: i64 = 2_000_000_000;

/// How long rows without a key wait for timing to prove them where nothing else is said: 30 s. What is
/// proven does not wait.
pub const DEFAULT_HOLD_NS: i64 = 30_000_000_000;

/// What identifies a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Which pipeline (or session, or node) the frame belongs to: events of different groups never
    /// pair. The caller numbers them.
    pub group: u32,
    /// The frame's number, or else its running time, or else its presentation time stamp. An
    /// unsigned number goes in by its bits.
    pub id: i64,
}

/// Which end of the pair an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The frame begins: `stage_a`.
    A,
    /// The frame ends: `stage_b`.
    B,
}

/// One event of one of the two stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<P = ()> {
    /// When the frame passed the stage.
    pub ts_ns: i64,
    /// The frame.
    pub key: Key,
    /// The stage.
    pub side: Side,
    /// Handed back in the row, when the event is of `stage_a`: a row number, another column.
    pub carry: P,
}

/// In which order rows come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By time of `stage_a`: a row waits until every earlier frame is paired or dropped, which
    /// takes at most a window. Out-of-order events within `lateness_ns` are put in order first. A
    /// `stage_a` event later than that would break the order: it is counted as late and left out.
    StageA,
    /// As soon as the second event is in, whichever of the two that is. The rows are those of
    /// [`Order::StageA`], unless events with one and the same key overtake each other.
    Completed,
}

/// Which rows are wanted. All are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Pairs and drops.
    All,
    /// Pairs only.
    Pairs,
}

/// How to pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairOptions {
    /// The longest time from `stage_a` to `stage_b`. A negative one pairs nothing.
    pub window_ns: i64,
    /// How far behind the newest event one may still come. 0: the input is in order of time.
    pub lateness_ns: i64,
    /// How long a row without a key waits, after its `stage_b` event, for timing to prove it; at
    /// least a window.
    pub hold_ns: i64,
    /// The order of the rows.
    pub order: Order,
    /// The rows wanted.
    pub wanted: Wanted,
}

impl Default for PairOptions {
    /// 2 s, input in order, 30 s for a proof, all rows in order of `stage_a`.
    fn default() -> Self {
        Self {
            window_ns: DEFAULT_WINDOW_NS,
            lateness_ns: 0,
            hold_ns: DEFAULT_HOLD_NS,
            order: Order::StageA,
            wanted: Wanted::All,
        }
    }
}

/// What became of the events so far. `paired + dropped + ambiguous` is the number of frames at
/// `stage_a`; `paired + orphans + ambiguous_ends` is the number of `stage_b` events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Frames with both events.
    pub paired: u64,
    /// `stage_a` events without a partner: dropped frames.
    pub dropped: u64,
    /// `stage_b` events without a partner.
    pub orphans: u64,
    /// Frames that timing cannot tell the fate of: no latency is told, and no drop.
    pub ambiguous: u64,
    /// `stage_b` events that timing cannot tell the frame of: each ended one of the ambiguous
    /// frames, or is an orphan.
    pub ambiguous_ends: u64,
    /// Events without a key, left out.
    pub unkeyed: u64,
    /// `stage_a` events that came later than `lateness_ns`, left out ([`Order::StageA`] only).
    pub late: u64,
}

impl std::ops::Add for PairCounts {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            paired: self.paired + more.paired,
            dropped: self.dropped + more.dropped,
            orphans: self.orphans + more.orphans,
            ambiguous: self.ambiguous + more.ambiguous,
            ambiguous_ends: self.ambiguous_ends + more.ambiguous_ends,
            unkeyed: self.unkeyed + more.unkeyed,
            late: self.late + more.late,
        }
    }
}

/// Events as columns of equal length.
#[derive(Clone, Copy, Debug)]
pub struct Events<'a> {
    /// Times.
    pub ts_ns: &'a [i64],
    /// Ids of the keys.
    pub id: &'a [i64],
    /// Which ids are there. Events without one are counted and left out.
    pub id_nulls: Option<&'a NullBuffer>,
    /// Groups of the keys; `None`: all 0.
    pub group: Option<&'a [u32]>,
}

impl Events<'_> {
    #[inline]
    fn key(&self, row: usize) -> Key {
        Key { group: self.group.map_or(0, |group| group[row]), id: self.id[row] }
    }
}

/// Pairs the events of two stages. `P` is handed through from each `stage_a` event to its row.
///
/// ```
/// use bl_align::pair::{Event, Key, PairOptions, Pairer, Side};
///
/// let mut pairer = Pairer::new(PairOptions::default());
/// let key = Key { group: 0, id: 7 };
/// pairer.push(Event { ts_ns: 1_000, key, side: Side::A, carry: () });
/// pairer.push(Event { ts_ns: 9_000, key, side: Side::B, carry: () });
/// assert_eq!(pairer.take().iter().next().unwrap().latency_ns, Some(8_000));
/// ```
pub struct Pairer<P = ()> {
    options: PairOptions,
    frames: Queue<P>,
    /// `stage_b` events that came before their `stage_a`.
    early: Queue<()>,
    /// By group.
    lanes: Vec<Lane>,
    reorder: Reorder<P>,
    watermark_ns: i64,
    rows: Pairs<P>,
    counts: PairCounts,
}

impl<P: Copy + Default> Pairer<P> {
    /// Nothing seen yet.
    pub fn new(options: PairOptions) -> Self {
        Self {
            options,
            frames: Queue::new(),
            early: Queue::new(),
            lanes: Vec::new(),
            reorder: Reorder::new(),
            watermark_ns: i64::MIN,
            rows: Pairs::default(),
            counts: PairCounts::default(),
        }
    }

    /// Takes one event.
    pub fn push(&mut self, event: Event<P>) {
        let watermark_ns = event.ts_ns.saturating_sub(self.options.lateness_ns.max(0));
        match self.options.order {
            Order::StageA if event.ts_ns < self.watermark_ns => match event.side {
                Side::A => self.counts.late += 1,
                Side::B => self.accept(event),
            },
            Order::StageA if watermark_ns < event.ts_ns => self.reorder.push(event),
            _ => self.accept(event),
        }
        self.advance(watermark_ns);
    }

    /// Takes events as columns; `side` and `carry` are asked for each row's end of the pair (`None`:
    /// another stage) and what to hand through. The rows are the same as of [`Self::push`].
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_columns(
        &mut self,
        events: &Events<'_>,
        side: impl Fn(usize) -> Option<Side>,
        carry: impl Fn(usize) -> P,
    ) {
        let rows = events.ts_ns.len();
        assert_eq!(rows, events.id.len(), "times and ids differ in length");
        self.rows.reserve(rows / 2);
        let mut split = Split::default();
        for start in (0..rows).step_by(CHUNK) {
            let chunk = start..rows.min(start + CHUNK);
            let [unkeyed, unkeyed_ends] = split.fill(chunk.clone(), events.id_nulls, &side);
            self.counts.unkeyed += unkeyed + unkeyed_ends;
            (0..unkeyed_ends).for_each(|_| self.lane(0).end());
            let ts_ns = &events.ts_ns[chunk.clone()];
            let in_order = ts_ns[0] >= self.watermark_ns && ts_ns.is_sorted_by(|a, b| a < b);
            if in_order && self.options.lateness_ns <= 0 && self.early.is_empty() {
                self.push_sorted(events, &split, &carry);
                self.advance(ts_ns[ts_ns.len() - 1]);
                continue;
            }
            for row in chunk {
                if let Some(side) = split.side(row) {
                    let (ts_ns, key) = (events.ts_ns[row], events.key(row));
                    self.push(Event { ts_ns, key, side, carry: carry(row) });
                }
            }
        }
    }

    /// Tells that every event before `watermark_ns` has been pushed: what can no longer pair is
    /// settled. Pushing an event does the same for its own time less `lateness_ns`.
    pub fn advance(&mut self, watermark_ns: i64) {
        if watermark_ns <= self.watermark_ns {
            return;
        }
        while let Some(event) = self.reorder.pop_before(watermark_ns) {
            self.accept(event);
        }
        self.watermark_ns = watermark_ns;
        self.settle();
    }

    /// Tells that no event will come any more: what is open is dropped or orphaned.
    pub fn finish(&mut self) {
        self.advance(i64::MAX);
        while let Some(event) = self.reorder.pop_until(i64::MAX) {
            self.accept(event);
        }
        while let Some(slot) = self.frames.front() {
            let slot = *slot;
            self.close(slot);
        }
        while let Some(slot) = self.early.front() {
            self.counts.orphans += u64::from(slot.is_open());
            self.early.pop();
        }
    }

    /// Ends as it is, with more to come: frames that ended are told, also those behind one that did not,
    /// and those on their way are not.
    pub fn leave(&mut self) {
        while let Some(slot) = self.frames.front() {
            match slot.is_open() {
                true => self.frames.pop(),
                false => {
                    let slot = *slot;
                    self.close(slot);
                }
            }
        }
    }

    /// The rows that are finished, and forgets them.
    pub fn take(&mut self) -> Pairs<P> {
        std::mem::take(&mut self.rows)
    }

    /// How many finished rows wait to be taken.
    pub fn ready(&self) -> usize {
        self.rows.len()
    }

    /// What became of the events so far.
    pub fn counts(&self) -> PairCounts {
        self.counts
    }

    /// Every frame that began before this time has its row, in [`Order::StageA`].
    pub fn settled_until_ns(&self) -> i64 {
        self.frames.front().map_or(self.watermark_ns, |slot| slot.ts_ns.min(self.watermark_ns))
    }

    /// Gives up all open frames of the one group there is: they are ambiguous. The counts of what
    /// pairs from here on are those of another pairing.
    pub(super) fn give_up(&mut self) {
        self.counts.ambiguous += self.frames.give_up();
    }

    /// How the `stage_b` events of the one group there is fared since the last call.
    fn take_tally(&mut self) -> Tally {
        self.lanes.first_mut().map(Lane::take_tally).unwrap_or_default()
    }

    /// How they fared since the last call of [`Self::take_tally`].
    fn tally(&self) -> Tally {
        self.lanes.first().map(Lane::tally).unwrap_or_default()
    }

    /// Leaves out an event of the one group there is, as it has no key.
    pub(super) fn pass_over(&mut self, side: Side) {
        self.counts.unkeyed += 1;
        if side == Side::B {
            self.lane(0).end();
        }
    }

    /// A chunk of different times, in their order. All its `stage_a` events go in before its `stage_b`
    /// events are matched: a frame that is later than a `stage_b` event cannot be its partner, so the
    /// pairs are those of one event after the other, and neither loop has a branch to mispredict.
    fn push_sorted(&mut self, events: &Events<'_>, split: &Split, carry: &impl Fn(usize) -> P) {
        for row in split.rows(Side::A) {
            self.accept_a(events.ts_ns[row], events.key(row), carry(row));
        }
        for row in split.rows(Side::B) {
            self.accept_b(events.ts_ns[row], events.key(row));
        }
    }

    fn accept(&mut self, event: Event<P>) {
        match event.side {
            Side::A => self.accept_a(event.ts_ns, event.key, event.carry),
            Side::B => self.accept_b(event.ts_ns, event.key),
        }
    }

    #[inline]
    fn accept_a(&mut self, ts_ns: i64, key: Key, carry: P) {
        let number = self.frames.next_number();
        self.lane(key.group).begin(key.id, number);
        self.frames.push(ts_ns, key, carry);
        if self.early.is_empty() {
            return;
        }
        let window_ns = self.options.window_ns;
        let early = self.early.settle_oldest(key, |ts_b| latency(ts_ns, ts_b, window_ns)).copied();
        if let Some(event) = early {
            let floor = self.lane(key.group).floor();
            self.settle_b(event.ts_ns, key, floor);
        }
    }

    #[inline]
    fn accept_b(&mut self, ts_ns: i64, key: Key) {
        let lane = self.lane(key.group);
        lane.end();
        let floor = lane.floor();
        if !self.settle_b(ts_ns, key, floor) {
            self.early.push(ts_ns, key, ());
        }
    }

    /// Whether the event ends a frame that is there, from the one of that number on.
    #[inline]
    fn settle_b(&mut self, ts_ns: i64, key: Key, floor: u64) -> bool {
        let window_ns = self.options.window_ns;
        let found = self.frames.settle_newest(key, |ts_a, number| {
            if number < floor { None } else { latency(ts_a, ts_ns, window_ns) }
        });
        let Some((number, frame)) = found else { return false };
        self.counts.paired += 1;
        if self.options.order == Order::Completed {
            self.rows.push(frame.ts_ns, key, frame.latency_ns, frame.carry);
        }
        self.lanes[key.group as usize].hit(number);
        true
    }

    #[inline]
    fn lane(&mut self, group: u32) -> &mut Lane {
        let group = group as usize;
        if group >= self.lanes.len() {
            self.lanes.resize_with(group + 1, Lane::default);
        }
        &mut self.lanes[group]
    }

    /// Gives out, from the oldest on, what nothing to come can change.
    fn settle(&mut self) {
        let expired_ns = self.watermark_ns.saturating_sub(self.options.window_ns.max(0));
        while let Some(slot) = self.frames.front() {
            if slot.is_open() && slot.ts_ns >= expired_ns {
                break;
            }
            let slot = *slot;
            self.close(slot);
        }
        while let Some(slot) = self.early.front() {
            if slot.is_open() && slot.ts_ns >= self.watermark_ns {
                break;
            }
            self.counts.orphans += u64::from(slot.is_open());
            self.early.pop();
        }
    }

    /// Removes the oldest frame and writes its row.
    fn close(&mut self, slot: queue::Slot<P>) {
        self.frames.pop();
        self.counts.dropped += u64::from(slot.is_open());
        let wanted = match slot.is_open() || slot.is_unknown() {
            true => self.options.wanted == Wanted::All,
            false => self.options.order == Order::StageA,
        };
        if wanted {
            self.rows.push(slot.ts_ns, slot.key, slot.latency_ns, slot.carry);
        }
    }
}

/// Nanoseconds from `a_ns` to `b_ns`, where they may be a pair.
#[inline]
fn latency(a_ns: i64, b_ns: i64, window_ns: i64) -> Option<i64> {
    b_ns.checked_sub(a_ns).filter(|latency_ns| (0..=window_ns).contains(latency_ns))
}
