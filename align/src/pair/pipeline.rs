//! Pairing of one pipeline by the key that its events prove to share.

use std::collections::VecDeque;

use super::evidence::{Evidence, still_tells};
use super::{
    Event, Events, FrameKeys, Key, KeyColumn, KeylessPairer, MAX_KEYS, Pair, PairCounts,
    PairOptions, PairedBy, Pairer, Side, Wanted,
};

/// The evidence is weighed anew this often, in the time of the events.
const WEIGH_NS: i64 = 1_000_000_000;
/// Fewer `stage_b` events prove nothing.
const ENOUGH: u32 = 16;
/// Events that wait for a decision, at most.
const MAX_WAITING: usize = 65_536;

/// Events of any stages and pipelines, as columns of equal length.
#[derive(Clone, Copy, Debug)]
pub struct StageEvents<'a> {
    /// Times.
    pub ts_ns: &'a [i64],
    /// What identifies the frames, best first: at most [`MAX_KEYS`] columns.
    pub keys: &'a [KeyColumn<'a>],
    /// Numbers of the pipelines, from 0; `None`: all are of one. Events of different ones never pair.
    pub pipeline: Option<&'a [u32]>,
}

impl StageEvents<'_> {
    fn keys(&self, row: usize) -> FrameKeys {
        let mut of_row: FrameKeys = [None; MAX_KEYS];
        for (key, (id, nulls)) in of_row.iter_mut().zip(self.keys) {
            *key = nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| id[row]);
        }
        of_row
    }
}

/// A frame that is finished, and how that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired<P = ()> {
    /// The frame; `key.group` is the number of its pipeline.
    pub pair: Pair<P>,
    /// How it was found; `None` where no event of the other stage was there to pair with.
    pub by: Option<PairedBy>,
}

/// An event that waits until it is decided how to pair.
struct Waiting<P> {
    ts_ns: i64,
    side: Side,
    keys: FrameKeys,
    carry: P,
}

/// Events until there is evidence.
struct Opening<P> {
    window_ns: i64,
    events: VecDeque<Waiting<P>>,
    evidence: Evidence,
    /// When each stage was seen first.
    first_ns: [Option<i64>; 2],
}

enum State<P> {
    Open(Box<Opening<P>>),
    Keyed(u8, Box<Pairer<P>>),
    Ordered(Box<KeylessPairer<P>>, Box<Evidence>),
}

/// Pairs the events of one pipeline. `P` is handed through from each `stage_a` event to its row.
///
/// Events wait until keys of both stages are seen to be the same, which mostly is with the first
/// frame that ends, or until a window has passed and keys, if both stages have any, were in vain
/// often enough: then the frames are paired in order. Where
/// a key no longer is that of the frames, those on their way are told as ambiguous, and it is
/// decided anew. An event without a key decides nothing.
pub struct PipelinePairer<P = ()> {
    options: PairOptions,
    number: u32,
    state: State<P>,
    watermark_ns: i64,
    /// When the evidence is weighed; `None` before the first event.
    weigh_at_ns: Option<i64>,
    /// Finished frames of what was paired otherwise before.
    done: Vec<Paired<P>>,
    /// What became of their events.
    counts: PairCounts,
    seen: [bool; 2],
}

impl<P: Copy + Default> PipelinePairer<P> {
    /// Nothing seen yet. `number` goes into the rows' keys.
    pub fn new(number: u32, options: PairOptions) -> Self {
        Self {
            options,
            number,
            state: State::Open(Box::new(Opening::new(options.window_ns))),
            watermark_ns: i64::MIN,
            weigh_at_ns: None,
            done: Vec::new(),
            counts: PairCounts::default(),
            seen: [false; 2],
        }
    }

    /// Whether any event of this stage came.
    pub fn has_seen(&self, side: Side) -> bool {
        self.seen[side as usize]
    }

    /// How frames are paired now; `None` while it is open.
    pub fn paired_by(&self) -> Option<PairedBy> {
        match self.state {
            State::Open(_) => None,
            State::Keyed(kind, _) => Some(PairedBy::Key(kind)),
            State::Ordered(..) => Some(PairedBy::Order),
        }
    }

    /// Takes an event, as late as the options allow.
    pub fn push(&mut self, ts_ns: i64, side: Side, keys: FrameKeys, carry: P) {
        self.advance(self.watermark_of(ts_ns));
        self.weigh_at_ns.get_or_insert_with(|| next_weighing(ts_ns));
        self.seen[side as usize] = true;
        self.pair(Waiting { ts_ns, side, keys, carry });
        if let State::Open(opening) = &self.state
            && let Some(kind) = opening.evidence.sure()
        {
            self.decide(PairedBy::Key(kind));
        }
    }

    /// Takes events of this pipeline as columns; `side` and `carry` are asked for each row. The rows
    /// are the same as of [`Self::push`].
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_columns(
        &mut self,
        events: &StageEvents<'_>,
        side: impl Fn(usize) -> Option<Side>,
        carry: impl Fn(usize) -> P,
    ) {
        let mut start = 0;
        while start < events.ts_ns.len() {
            let end = self.weighed_with(&events.ts_ns[start..]) + start;
            if let State::Keyed(kind, pairer) = &mut self.state
                && end > start
            {
                let (id, nulls) = events.keys[usize::from(*kind)];
                let nulls = nulls.map(|nulls| nulls.slice(start, end - start));
                let (ts_ns, id) = (&events.ts_ns[start..end], &id[start..end]);
                let of = Events { ts_ns, id, id_nulls: nulls.as_ref(), group: None };
                pairer.push_columns(&of, |row| side(start + row), |row| carry(start + row));
                self.follow(ts_ns);
                start = end;
                continue;
            }
            if let Some(side) = side(start) {
                self.push(events.ts_ns[start], side, events.keys(start), carry(start));
            } else {
                self.advance(self.watermark_of(events.ts_ns[start]));
            }
            start += 1;
        }
    }

    /// The same for some rows, ascending, of events of any pipelines.
    pub(super) fn push_rows(
        &mut self,
        events: &StageEvents<'_>,
        rows: &[u32],
        side: impl Fn(usize) -> Option<Side>,
        carry: impl Fn(usize) -> P,
    ) {
        let at = |row: &u32| *row as usize;
        let ts_ns: Vec<i64> = rows.iter().map(|row| events.ts_ns[at(row)]).collect();
        let mut start = 0;
        while start < rows.len() {
            let end = self.weighed_with(&ts_ns[start..]) + start;
            if let State::Keyed(kind, pairer) = &mut self.state
                && end > start
            {
                let (id, nulls) = events.keys[usize::from(*kind)];
                let (ts_ns, rows) = (&ts_ns[start..end], &rows[start..end]);
                let id: Vec<i64> = rows.iter().map(|row| id[at(row)]).collect();
                let nulls: Option<arrow_buffer::NullBuffer> =
                    nulls.map(|nulls| rows.iter().map(|row| nulls.is_valid(at(row))).collect());
                let of = Events { ts_ns, id: &id, id_nulls: nulls.as_ref(), group: None };
                pairer.push_columns(&of, |row| side(at(&rows[row])), |row| carry(at(&rows[row])));
                self.follow(ts_ns);
                start = end;
                continue;
            }
            let row = at(&rows[start]);
            if let Some(side) = side(row) {
                self.push(ts_ns[start], side, events.keys(row), carry(row));
            }
            start += 1;
        }
    }

    /// How many of the events come before the evidence is weighed again.
    fn weighed_with(&self, ts_ns: &[i64]) -> usize {
        let Some(weigh_at_ns) = self.weigh_at_ns else { return 0 };
        let is_due = |ts_ns: &i64| self.watermark_of(*ts_ns) >= weigh_at_ns;
        ts_ns.iter().position(is_due).unwrap_or(ts_ns.len())
    }

    fn watermark_of(&self, ts_ns: i64) -> i64 {
        ts_ns.saturating_sub(self.options.lateness_ns.max(0))
    }

    /// Notes how far events came that went to the pairer by themselves.
    fn follow(&mut self, ts_ns: &[i64]) {
        let last_ns = ts_ns.iter().copied().max().unwrap_or(i64::MIN);
        self.watermark_ns = self.watermark_ns.max(self.watermark_of(last_ns));
    }

    fn pair(&mut self, event: Waiting<P>) {
        let Waiting { ts_ns, side, keys, carry } = event;
        match &mut self.state {
            State::Open(opening) => opening.push(event),
            State::Ordered(pairer, evidence) => {
                evidence.see(ts_ns, side, &keys);
                pairer.push(Event { ts_ns, key: Key::default(), side, carry });
            }
            State::Keyed(kind, pairer) => match keys[usize::from(*kind)] {
                Some(id) => pairer.push(Event { ts_ns, key: Key { group: 0, id }, side, carry }),
                None => pairer.pass_over(side),
            },
        }
    }

    /// Pairs so from here on, what waits at first.
    fn decide(&mut self, by: PairedBy) {
        let options = self.options;
        let state = match by {
            PairedBy::Key(kind) => State::Keyed(kind, Box::new(Pairer::new(options))),
            PairedBy::Order => State::Ordered(
                Box::new(KeylessPairer::new(0, options)),
                Box::new(Evidence::new(options.window_ns)),
            ),
        };
        if let State::Open(opening) = std::mem::replace(&mut self.state, state) {
            opening.events.into_iter().for_each(|event| self.pair(event));
        }
    }

    /// Tells that every event before this instant was pushed.
    pub fn advance(&mut self, watermark_ns: i64) {
        if watermark_ns <= self.watermark_ns {
            return;
        }
        if let Some(at_ns) = self.weigh_at_ns.filter(|at_ns| *at_ns <= watermark_ns) {
            self.weigh(at_ns);
            self.weigh_at_ns = Some(next_weighing(watermark_ns));
        }
        self.watermark_ns = watermark_ns;
        if let State::Open(opening) = &self.state
            && (opening.is_due(watermark_ns) || opening.events.len() > MAX_WAITING)
        {
            self.decide(opening.evidence.likeliest(ENOUGH));
        }
        match &mut self.state {
            State::Keyed(_, pairer) => pairer.advance(watermark_ns),
            State::Ordered(pairer, _) => pairer.advance(watermark_ns),
            State::Open(_) => self.expire(),
        }
    }

    /// Decides anew where the evidence is against what was decided. Events before `at_ns` were
    /// pushed.
    fn weigh(&mut self, at_ns: i64) {
        match &mut self.state {
            State::Open(_) => {}
            State::Keyed(_, pairer) => {
                let tally = pairer.tally();
                if tally.ends < ENOUGH {
                    return;
                }
                pairer.take_tally();
                if !still_tells(u64::from(tally.hits), u64::from(tally.ends)) {
                    pairer.advance(at_ns);
                    pairer.give_up();
                    self.close(at_ns, State::Open(Box::new(Opening::new(self.options.window_ns))));
                }
            }
            State::Ordered(_, evidence) => {
                let proven = evidence.proven(ENOUGH);
                evidence.forget(ENOUGH);
                if let Some(kind) = proven {
                    let pairer = Box::new(Pairer::new(self.options));
                    self.close(at_ns, State::Keyed(kind, pairer));
                }
            }
        }
    }

    /// Ends the present pairing. Frames on their way at `at_ns` are ambiguous.
    fn close(&mut self, at_ns: i64, next: State<P>) {
        let by = self.paired_by();
        let since_ns = at_ns.saturating_sub(self.options.window_ns.max(0));
        let (rows, counts) = match std::mem::replace(&mut self.state, next) {
            State::Open(_) => return,
            State::Keyed(_, mut pairer) => {
                pairer.finish();
                (pairer.take(), pairer.counts())
            }
            State::Ordered(mut pairer, _) => {
                pairer.finish();
                (pairer.take(), pairer.counts())
            }
        };
        self.counts = self.counts + counts;
        for mut pair in rows.iter() {
            if by == Some(PairedBy::Order) && pair.latency_ns.is_none() && pair.ts_ns >= since_ns {
                self.counts.dropped -= u64::from(!pair.ambiguous);
                self.counts.ambiguous += u64::from(!pair.ambiguous);
                (pair.ambiguous, pair.confidence) = (true, 0.0);
            }
            self.done.push(self.paired(pair, by));
        }
    }

    /// Gives up events that the first one of the other stage would come too late for.
    fn expire(&mut self) {
        let State::Open(opening) = &mut self.state else { return };
        if opening.due_ns().is_some() {
            return;
        }
        let oldest_ns = self.watermark_ns.saturating_sub(self.options.window_ns.max(0));
        while let Some(event) = opening.events.front() {
            match event.side {
                Side::A if event.ts_ns < oldest_ns => {
                    self.counts.dropped += 1;
                    let key = Key { group: self.number, id: 0 };
                    let pair = Pair::dropped(event.ts_ns, key, event.carry);
                    if self.options.wanted == Wanted::All {
                        self.done.push(Paired { pair, by: None });
                    }
                }
                Side::B if event.ts_ns < self.watermark_ns => self.counts.orphans += 1,
                _ => return,
            }
            opening.events.pop_front();
        }
        opening.first_ns = [None; 2];
        if let Some(event) = opening.events.front() {
            opening.first_ns[event.side as usize] = Some(event.ts_ns);
        }
    }

    /// Tells that no event follows.
    pub fn finish(&mut self) {
        if let State::Open(opening) = &self.state
            && opening.due_ns().is_some()
        {
            self.decide(opening.evidence.likeliest(ENOUGH));
        }
        self.advance(i64::MAX);
        match &mut self.state {
            State::Keyed(_, pairer) => pairer.finish(),
            State::Ordered(pairer, _) => pairer.finish(),
            State::Open(_) => {}
        }
    }

    /// Ends as it is, with more to come: see [`Pairer::leave`]. Frames without a key are told once it is
    /// certain which they are.
    pub fn leave(&mut self) {
        if let State::Keyed(_, pairer) = &mut self.state {
            pairer.leave();
        }
    }

    /// The frames that are finished, in the order of the options, and forgets them.
    pub fn take(&mut self) -> Vec<Paired<P>> {
        let by = self.paired_by();
        let rows = match &mut self.state {
            State::Open(_) => super::Pairs::default(),
            State::Keyed(_, pairer) => pairer.take(),
            State::Ordered(pairer, _) => pairer.take(),
        };
        let mut done = std::mem::take(&mut self.done);
        done.extend(rows.iter().map(|pair| self.paired(pair, by)));
        done
    }

    fn paired(&self, mut pair: Pair<P>, by: Option<PairedBy>) -> Paired<P> {
        pair.key.group = self.number;
        Paired { pair, by }
    }

    /// Every frame that began before this instant was finished.
    pub fn settled_until_ns(&self) -> i64 {
        match &self.state {
            State::Open(opening) => {
                let first = opening.events.front();
                first.map_or(self.watermark_ns, |event| event.ts_ns.min(self.watermark_ns))
            }
            State::Keyed(_, pairer) => pairer.settled_until_ns(),
            State::Ordered(pairer, _) => pairer.settled_until_ns(),
        }
    }

    /// What became of the events so far.
    pub fn counts(&self) -> PairCounts {
        let inner = match &self.state {
            State::Open(_) => PairCounts::default(),
            State::Keyed(_, pairer) => pairer.counts(),
            State::Ordered(pairer, _) => pairer.counts(),
        };
        inner + self.counts
    }
}

impl<P> Opening<P> {
    fn new(window_ns: i64) -> Self {
        let window_ns = window_ns.max(0);
        // What waits may be of two windows: see when it is due.
        let evidence = Evidence::new(window_ns.saturating_mul(2));
        Self { window_ns, events: VecDeque::new(), evidence, first_ns: [None; 2] }
    }

    fn push(&mut self, event: Waiting<P>) {
        self.evidence.see(event.ts_ns, event.side, &event.keys);
        self.first_ns[event.side as usize].get_or_insert(event.ts_ns);
        self.events.push_back(event);
    }

    /// Whether it is decided by what there is: that a key is no key takes as many events as will do.
    fn is_due(&self, watermark_ns: i64) -> bool {
        self.due_ns().is_some_and(|due_ns| due_ns < watermark_ns) && !self.evidence.is_thin(ENOUGH)
    }

    /// When it may be decided; `None` while but one stage was seen.
    fn due_ns(&self) -> Option<i64> {
        let [a_ns, b_ns] = self.first_ns;
        Some(a_ns?.max(b_ns?).saturating_add(self.window_ns))
    }
}

/// The first weighing after an instant.
fn next_weighing(ts_ns: i64) -> i64 {
    ts_ns.div_euclid(WEIGH_NS).saturating_add(1).saturating_mul(WEIGH_NS)
}

#[cfg(test)]
mod tests;
