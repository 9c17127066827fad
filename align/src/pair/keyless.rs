//! Pairing without a key: in order, with the drops found, and with what timing cannot tell told as
//! ambiguous.
//!
//! Frames keep their order, so the pairs are a monotone matching of the two series of stamps. The
//! likeliest one is sought: a [latency that varies around a running level](latency), few drops,
//! fewer orphans. It is a [Viterbi search](alignments) whose states are the first free frame and
//! the level of the latency, so that alignments shifted by whole frames live side by side.
//!
//! A row is told where its probability is at least [`SURE`]. Three things are weighed:
//!
//! - **The shift.** A latency of 0.3 periods and one of 1.3 look alike where `stage_a` ticks evenly:
//!   stamps hold nothing that tells them apart, and no assumption about what latencies are usual
//!   is sure enough to stand in for it. What tells them apart is an irregular tick, by jitter or by
//!   a gap, that comes out of `stage_b` as it went in. [`proof`] collects that evidence for each
//!   alignment.
//! - **Other alignments** that are still alive, by their weights.
//! - **Alignments that have merged** with the likeliest one, and had a drop elsewhere (as in the
//!   soft-output Viterbi algorithm; Hagenauer and Hoeher 1989).
//!
//! And where latencies spread by more than about a fifth of a period, a drop is easily taken for one of
//! its neighbours: such drops, and then pairs, are not told.
//!
//! How long it takes to prove a shift: with a tick that jitters by `t` and a latency that jitters by
//! `l`, a frame yields `ln(1 + (t / l)^2) / 2` nats on the average. `SURE` takes
//! 14 of them. Rows wait for it as long as [`PairOptions::hold_ns`] says.

mod alignments;
mod frames;
mod latency;
mod path;
mod proof;
mod ticks;

use std::collections::VecDeque;

use super::rows::{AMBIGUOUS, DROPPED};
use super::{Event, Key, PairCounts, PairOptions, Pairs, Reorder, Side, Wanted};
use alignments::{Alignments, Decision};
use frames::{Frame, Frames};

/// The least probability at which a pair or a drop is told. A row that is less likely is told as
/// ambiguous.
pub const SURE: f32 = 0.999;

/// `stage_b` events undecided, at most: bounds memory where events are very dense.
const UNDECIDED: usize = 8192;
/// The least probability of the alignment at which rows need not wait for more evidence.
const EARLY: f64 = 0.9999;
/// Events that are decided together, when their time has come: a share of the time that they wait.
const TOGETHER: i64 = 4;

/// Pairs the events of two stages that have no key, within one pipeline. `P` is handed through from
/// each `stage_a` event to its row; a row's `id` is the frame's number at `stage_a`, from 0.
///
/// Rows come in order of `stage_a`: as soon as they are sure, or else [so much](PairOptions::hold_ns)
/// after the `stage_b` event, or a window after the frame, that they wait for. The order in [`PairOptions`] is not heeded: a pair can
/// only be told from what follows it.
pub struct KeylessPairer<P = ()> {
    options: PairOptions,
    group: u32,
    reorder: Reorder<P>,
    watermark_ns: i64,
    frames: Frames<P>,
    /// The number of the first frame without a row.
    told: u64,
    /// `stage_b` events at the watermark: a frame of the same time may still come.
    arrived: VecDeque<i64>,
    alignments: Alignments,
    /// Time of the last `stage_b` event that was decided.
    decided_ns: i64,
    /// The probability that what was decided from the last pair on is false.
    doubt: f64,
    /// The probability, that aside, that frames left out are dropped.
    drops: f64,
    rows: Pairs<P>,
    counts: PairCounts,
}

impl<P: Copy + Default> KeylessPairer<P> {
    /// Nothing seen yet. `group` goes into the rows' keys.
    pub fn new(group: u32, options: PairOptions) -> Self {
        Self {
            options,
            group,
            reorder: Reorder::new(),
            watermark_ns: i64::MIN,
            frames: Frames::new(),
            told: 0,
            arrived: VecDeque::new(),
            alignments: Alignments::new(options.window_ns),
            decided_ns: i64::MIN,
            doubt: 0.0,
            drops: 1.0,
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
            self.alignments.extend(ts_ns, &self.frames);
        }
        self.decide(self.alignments.len());
        while self.told < self.frames.end() {
            self.tell_unmatched();
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
        let oldest = self.frames.get(self.told);
        oldest.map_or(self.watermark_ns, |frame| frame.ts_ns.min(self.watermark_ns))
    }

    fn accept(&mut self, event: Event<P>) {
        self.proceed(event.ts_ns);
        match event.side {
            Side::A => self.frames.push(event.ts_ns, event.carry),
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
            self.decide_due(ts_ns);
            self.alignments.extend(ts_ns, &self.frames);
            self.decide_agreed();
        }
        self.decide_due(watermark_ns);
    }

    /// Decides the events that all alignments take for the same, if that is sure or will never
    /// be, and as many more as there are too many.
    fn decide_agreed(&mut self) {
        let early = self.alignments.proven() >= EARLY;
        let agreed = if early { self.alignments.agreed() } else { 0 };
        self.decide(agreed.max(self.alignments.len().saturating_sub(UNDECIDED)));
    }

    /// Decides the events that have waited long enough, and those that soon will have.
    fn decide_due(&mut self, watermark_ns: i64) {
        let hold_ns = self.options.hold_ns.max(self.options.window_ns).max(0);
        loop {
            self.forget(watermark_ns);
            let Some(oldest_ns) = self.alignments.ts_ns(0) else { return };
            if oldest_ns.saturating_add(hold_ns) > watermark_ns {
                return;
            }
            let until_ns = oldest_ns.saturating_add(hold_ns / TOGETHER);
            let events = (0..self.alignments.len())
                .take_while(|at| self.alignments.ts_ns(*at).is_some_and(|ts_ns| ts_ns <= until_ns));
            self.decide(events.count());
        }
    }

    /// Tells the frames that every event has passed by, and forgets those that no event can end.
    fn forget(&mut self, watermark_ns: i64) {
        let window_ns = self.options.window_ns.max(0);
        let open_ns = self.alignments.ts_ns(0).unwrap_or(watermark_ns);
        let passed = |frame: &Frame<P>| frame.ts_ns.saturating_add(window_ns) < open_ns;
        while self.frames.get(self.told).is_some_and(passed) {
            self.tell_unmatched();
        }
        while self.frames.first() < self.told
            && self.frames.get(self.frames.first()).is_some_and(passed)
        {
            self.frames.forget_first();
        }
    }

    fn decide(&mut self, events: usize) {
        if events == 0 {
            return;
        }
        for decision in self.alignments.decide(events) {
            self.tell(&decision);
        }
    }

    /// Writes the rows up to the frame that an event was decided to end.
    fn tell(&mut self, decision: &Decision) {
        (self.decided_ns, self.drops) = (decision.ts_ns, decision.drops);
        // The likeliest alignment has ended these by events that another one, which was likelier
        // then, took otherwise.
        while self.told < decision.free.min(self.frames.end()) {
            self.close(AMBIGUOUS, 0.0);
        }
        let Some(frame) = decision.frame else {
            let since_ns = decision.ts_ns.saturating_sub(self.options.window_ns);
            let first = self.frames.get(self.frames.since(since_ns));
            let certain = first.is_none_or(|frame| frame.ts_ns > decision.ts_ns);
            let confidence = if certain { 1.0 } else { decision.confidence };
            self.doubt += 1.0 - confidence;
            self.count_end(confidence, |counts| &mut counts.orphans);
            return;
        };
        self.doubt += 1.0 - decision.confidence;
        while self.told < frame {
            self.close(DROPPED, (1.0 - self.doubt) * self.drops);
        }
        self.doubt = 1.0 - decision.confidence;
        match self.frames.get(frame).filter(|_| frame == self.told) {
            None => self.counts.ambiguous_ends += 1,
            Some(of) => {
                let latency_ns = decision.ts_ns.saturating_sub(of.ts_ns);
                self.count_end(decision.confidence, |counts| &mut counts.paired);
                self.close(latency_ns, decision.confidence);
            }
        }
    }

    /// Writes the row of a frame that no event was decided to end.
    fn tell_unmatched(&mut self) {
        let later = self.frames.get(self.told).is_some_and(|f| f.ts_ns > self.decided_ns);
        self.close(DROPPED, if later { 1.0 } else { (1.0 - self.doubt) * self.drops });
    }

    fn count_end(&mut self, confidence: f64, count: impl Fn(&mut PairCounts) -> &mut u64) {
        match is_sure(confidence) {
            true => *count(&mut self.counts) += 1,
            false => self.counts.ambiguous_ends += 1,
        }
    }

    /// Writes the row of the oldest frame that has none.
    fn close(&mut self, latency_ns: i64, confidence: f64) {
        let Some(&Frame { ts_ns, carry, .. }) = self.frames.get(self.told) else { return };
        let key = Key { group: self.group, id: self.told as i64 };
        self.told += 1;
        let latency_ns = if is_sure(confidence) { latency_ns } else { AMBIGUOUS };
        match latency_ns {
            DROPPED => self.counts.dropped += 1,
            AMBIGUOUS => self.counts.ambiguous += 1,
            _ => {}
        }
        if latency_ns >= 0 || self.options.wanted == Wanted::All {
            let confidence = confidence.clamp(0.0, 1.0) as f32;
            self.rows.push_unsure(ts_ns, key, latency_ns, confidence, carry);
        }
    }
}

fn is_sure(confidence: f64) -> bool {
    confidence as f32 >= SURE
}

#[cfg(test)]
mod generator;
#[cfg(test)]
mod study;
#[cfg(test)]
mod tests;
