//! Pairing of one pipeline by the best key that both of its stages tell.

use std::collections::VecDeque;

use arrow_buffer::NullBuffer;

use super::{
    Event, Events, Key, KeylessPairer, Pair, PairCounts, PairOptions, Pairer, Side, Wanted,
};

/// Keys of an event, at most.
pub const MAX_KEYS: usize = 4;

/// What identifies the frame of an event, best first; `None` where the event does not tell.
pub type FrameKeys = [Option<i64>; MAX_KEYS];

/// A column of keys, and which of them are there.
pub type KeyColumn<'a> = (&'a [i64], Option<&'a NullBuffer>);

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

/// The keys that the first event of each stage had, a bit a key. They decide how a pipeline is
/// paired: by the first key that both have, and in order where they share none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstKeys {
    /// Of `stage_a`; `None` until it is seen.
    pub a: Option<u8>,
    /// Of `stage_b`.
    pub b: Option<u8>,
}

impl FirstKeys {
    fn see(&mut self, side: Side, keys: &FrameKeys) {
        let seen = match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        };
        seen.get_or_insert_with(|| {
            keys.iter().enumerate().fold(0, |set, (at, key)| set | (u8::from(key.is_some()) << at))
        });
    }

    /// The number of the key to pair by, once both stages were seen: `Some(None)` where there is
    /// none.
    pub fn decided(self) -> Option<Option<usize>> {
        let both = self.a? & self.b?;
        Some((both != 0).then(|| both.trailing_zeros() as usize))
    }
}

/// An event that waits for the first one of the other stage.
struct Waiting<P> {
    ts_ns: i64,
    side: Side,
    keys: FrameKeys,
    carry: P,
}

enum State<P> {
    /// One of the stages was not seen yet.
    Open(VecDeque<Waiting<P>>),
    Keyed(usize, Box<Pairer<P>>),
    Keyless(Box<KeylessPairer<P>>),
}

/// Pairs the events of one pipeline. `P` is handed through from each `stage_a` event to its row.
pub struct PipelinePairer<P = ()> {
    options: PairOptions,
    first: FirstKeys,
    state: State<P>,
    watermark_ns: i64,
    /// Frames dropped before the other stage was seen.
    dropped: Vec<Pair<P>>,
    counts: PairCounts,
}

impl<P: Copy + Default> PipelinePairer<P> {
    /// Nothing seen yet, or, by `first`, what was seen before the events that are to come.
    pub fn new(options: PairOptions, first: FirstKeys) -> Self {
        let mut pairer = Self {
            options,
            first,
            state: State::Open(VecDeque::new()),
            watermark_ns: i64::MIN,
            dropped: Vec::new(),
            counts: PairCounts::default(),
        };
        pairer.decide();
        pairer
    }

    /// What the first events told.
    pub fn first(&self) -> FirstKeys {
        self.first
    }

    /// Whether pairing is in order, so that pairs depend on all events before.
    pub fn is_keyless(&self) -> bool {
        matches!(self.state, State::Keyless(_))
    }

    /// The key that an event is paired by, where pairing is by one.
    pub fn id(&self, keys: &FrameKeys) -> Option<i64> {
        match self.state {
            State::Keyed(kind, _) => keys[kind],
            _ => None,
        }
    }

    /// Takes an event, as late as the options allow.
    pub fn push(&mut self, ts_ns: i64, side: Side, keys: FrameKeys, carry: P) {
        self.advance(ts_ns.saturating_sub(self.options.lateness_ns.max(0)));
        if let State::Open(events) = &mut self.state {
            events.push_back(Waiting { ts_ns, side, keys, carry });
            self.first.see(side, &keys);
            return self.decide();
        }
        self.pair(Waiting { ts_ns, side, keys, carry });
    }

    /// Takes events as columns, at most [`MAX_KEYS`] of keys; `side` and `carry` are asked for each
    /// row. The rows are the same as of [`Self::push`].
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_columns(
        &mut self,
        ts_ns: &[i64],
        keys: &[KeyColumn<'_>],
        side: impl Fn(usize) -> Option<Side>,
        carry: impl Fn(usize) -> P,
    ) {
        for row in 0..ts_ns.len() {
            if let State::Keyed(kind, pairer) = &mut self.state {
                let (id, nulls) = keys[*kind];
                let nulls = nulls.map(|nulls| nulls.slice(row, nulls.len() - row));
                let (ts_ns, id, id_nulls) = (&ts_ns[row..], &id[row..], nulls.as_ref());
                let events = Events { ts_ns, id, id_nulls, group: None };
                return pairer.push_columns(&events, |at| side(row + at), |at| carry(row + at));
            }
            let Some(side) = side(row) else { continue };
            let mut of_row: FrameKeys = [None; MAX_KEYS];
            for (key, (id, nulls)) in of_row.iter_mut().zip(keys) {
                *key = nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| id[row]);
            }
            self.push(ts_ns[row], side, of_row, carry(row));
        }
    }

    fn pair(&mut self, event: Waiting<P>) {
        let Waiting { ts_ns, side, keys, carry } = event;
        match &mut self.state {
            State::Open(_) => {}
            State::Keyless(pairer) => {
                pairer.push(Event { ts_ns, key: Key::default(), side, carry });
            }
            State::Keyed(kind, pairer) => match keys[*kind] {
                Some(id) => pairer.push(Event { ts_ns, key: Key { group: 0, id }, side, carry }),
                None => self.counts.unkeyed += 1,
            },
        }
    }

    fn decide(&mut self) {
        let Some(kind) = self.first.decided() else { return };
        let state = match kind {
            Some(kind) => State::Keyed(kind, Box::new(Pairer::new(self.options))),
            None => State::Keyless(Box::new(KeylessPairer::new(0, self.options))),
        };
        if let State::Open(events) = std::mem::replace(&mut self.state, state) {
            events.into_iter().for_each(|event| self.pair(event));
        }
    }

    /// Tells that every event before this instant was pushed.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.watermark_ns = self.watermark_ns.max(watermark_ns);
        match &mut self.state {
            State::Keyed(_, pairer) => pairer.advance(watermark_ns),
            State::Keyless(pairer) => pairer.advance(watermark_ns),
            State::Open(_) => self.expire(),
        }
    }

    /// Gives up events that the first one of the other stage would come too late for.
    fn expire(&mut self) {
        let State::Open(events) = &mut self.state else { return };
        let oldest_ns = self.watermark_ns.saturating_sub(self.options.window_ns.max(0));
        while let Some(event) = events.front() {
            match event.side {
                Side::A if event.ts_ns < oldest_ns => {
                    self.counts.dropped += 1;
                    let (ts_ns, key, carry) = (event.ts_ns, Key::default(), event.carry);
                    if self.options.wanted == Wanted::All {
                        let (latency_ns, ambiguous, confidence) = (None, false, 1.0);
                        self.dropped.push(Pair {
                            ts_ns,
                            key,
                            latency_ns,
                            ambiguous,
                            confidence,
                            carry,
                        });
                    }
                }
                Side::B if event.ts_ns < self.watermark_ns => self.counts.orphans += 1,
                _ => return,
            }
            events.pop_front();
        }
    }

    /// Tells that no event follows.
    pub fn finish(&mut self) {
        self.advance(i64::MAX);
        match &mut self.state {
            State::Keyed(_, pairer) => pairer.finish(),
            State::Keyless(pairer) => pairer.finish(),
            State::Open(_) => {}
        }
    }

    /// The frames that are finished, in the order of the options, and forgets them.
    pub fn take(&mut self) -> Vec<Pair<P>> {
        let rows = match &mut self.state {
            State::Open(_) => super::Pairs::default(),
            State::Keyed(_, pairer) => pairer.take(),
            State::Keyless(pairer) => pairer.take(),
        };
        let mut done = std::mem::take(&mut self.dropped);
        done.extend(rows.iter());
        done
    }

    /// Every frame that began before this instant was finished.
    pub fn settled_until_ns(&self) -> i64 {
        match &self.state {
            State::Open(events) => {
                events.front().map_or(self.watermark_ns, |event| event.ts_ns.min(self.watermark_ns))
            }
            State::Keyed(_, pairer) => pairer.settled_until_ns(),
            State::Keyless(pairer) => pairer.settled_until_ns(),
        }
    }

    /// What became of the events so far.
    pub fn counts(&self) -> PairCounts {
        let inner = match &self.state {
            State::Open(_) => PairCounts::default(),
            State::Keyed(_, pairer) => pairer.counts(),
            State::Keyless(pairer) => pairer.counts(),
        };
        inner + self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: FrameKeys = [None; MAX_KEYS];

    fn keys(frame: Option<i64>, key_ns: Option<i64>) -> FrameKeys {
        [frame, key_ns, None, None]
    }

    fn latencies(events: &[(i64, Side, FrameKeys)]) -> (Vec<Option<i64>>, PairCounts) {
        let options = PairOptions { window_ns: 100, ..PairOptions::default() };
        let mut pairer = PipelinePairer::new(options, FirstKeys::default());
        for (ts_ns, side, keys) in events {
            pairer.push(*ts_ns, *side, *keys, ());
        }
        pairer.finish();
        let found = (pairer.take(), pairer.counts());
        assert_eq!(as_columns(events, options), found, "columns and single events");
        (found.0.into_iter().map(|pair| pair.latency_ns).collect(), found.1)
    }

    fn as_columns(
        events: &[(i64, Side, FrameKeys)],
        options: PairOptions,
    ) -> (Vec<Pair>, PairCounts) {
        let mut pairer = PipelinePairer::new(options, FirstKeys::default());
        for batch in events.chunks(2) {
            let ts_ns: Vec<i64> = batch.iter().map(|event| event.0).collect();
            let column = |at: usize| {
                let ids: Vec<i64> = batch.iter().map(|event| event.2[at].unwrap_or(-1)).collect();
                let nulls: NullBuffer = batch.iter().map(|event| event.2[at].is_some()).collect();
                (ids, nulls)
            };
            let columns = [column(0), column(1)];
            let keys = columns.each_ref().map(|(ids, nulls)| (ids.as_slice(), Some(nulls)));
            pairer.push_columns(&ts_ns, &keys, |row| Some(batch[row].1), |_| ());
        }
        pairer.finish();
        (pairer.take(), pairer.counts())
    }

    #[test]
    fn the_first_key_that_both_stages_tell_decides() {
        // An encoder keeps the running time and loses the number.
        let (found, _) = latencies(&[
            (0, Side::A, keys(Some(1), Some(70))),
            (10, Side::A, keys(Some(2), Some(80))),
            (30, Side::B, keys(None, Some(80))),
            (40, Side::B, keys(None, Some(70))),
            (50, Side::B, keys(Some(9), None)),
        ]);
        assert_eq!(found, [Some(40), Some(20)]);
    }

    #[test]
    fn without_a_key_in_common_pairing_is_in_order_and_four_events_prove_nothing() {
        let (found, counts) = latencies(&[
            (0, Side::A, keys(Some(1), None)),
            (5, Side::B, NONE),
            (20, Side::A, keys(Some(2), None)),
            (25, Side::B, NONE),
        ]);
        assert_eq!(found, [None, None]);
        assert_eq!((counts.ambiguous, counts.ambiguous_ends), (2, 2));
    }

    #[test]
    fn what_waits_for_a_stage_that_never_comes_is_dropped() {
        let (found, counts) = latencies(&[(0, Side::A, NONE), (500, Side::A, NONE)]);
        assert_eq!(found, [None, None]);
        assert_eq!(counts.dropped, 2);
        let (_, counts) = latencies(&[(0, Side::B, NONE), (500, Side::B, NONE)]);
        assert_eq!(counts.orphans, 2);
    }

    #[test]
    fn an_event_without_the_key_is_counted() {
        let (found, counts) = latencies(&[
            (0, Side::A, keys(Some(1), None)),
            (5, Side::B, keys(Some(1), None)),
            (6, Side::B, NONE),
        ]);
        assert_eq!((found, counts.unkeyed), (vec![Some(5)], 1));
    }
}
