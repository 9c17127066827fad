//! Pairing of one pipeline by the best key that both of its stages tell.

use std::collections::VecDeque;

use super::{Event, Key, KeylessPairer, Pair, PairCounts, PairOptions, Pairer, Side};

/// Keys of an event, at most.
pub const MAX_KEYS: usize = 4;

/// What identifies the frame of an event, best first; `None` where the event does not tell.
pub type FrameKeys = [Option<i64>; MAX_KEYS];

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

/// Pairs the events of one pipeline, which come in order of time; rows come in order of `stage_a`.
/// `P` is handed through from each `stage_a` event to its row.
pub struct PipelinePairer<P = ()> {
    options: PairOptions,
    group: u32,
    first: FirstKeys,
    state: State<P>,
    watermark_ns: i64,
    /// Frames dropped before the other stage was seen.
    dropped: Vec<Pair<P>>,
    counts: PairCounts,
}

impl<P: Copy + Default> PipelinePairer<P> {
    /// Nothing seen yet, or, by `first`, what was seen before the events that are to come. `group`
    /// goes into the rows' keys.
    pub fn new(group: u32, options: PairOptions, first: FirstKeys) -> Self {
        let mut pairer = Self {
            options,
            group,
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

    /// Takes an event that is not before the last one.
    pub fn push(&mut self, ts_ns: i64, side: Side, keys: FrameKeys, carry: P) {
        self.advance(ts_ns);
        if let State::Open(events) = &mut self.state {
            events.push_back(Waiting { ts_ns, side, keys, carry });
            self.first.see(side, &keys);
            return self.decide();
        }
        self.pair(Waiting { ts_ns, side, keys, carry });
    }

    fn pair(&mut self, event: Waiting<P>) {
        let Waiting { ts_ns, side, keys, carry } = event;
        let group = self.group;
        match &mut self.state {
            State::Open(_) => {}
            State::Keyless(pairer) => {
                pairer.push(Event { ts_ns, key: Key { group, id: 0 }, side, carry });
            }
            State::Keyed(kind, pairer) => match keys[*kind] {
                Some(id) => pairer.push(Event { ts_ns, key: Key { group, id }, side, carry }),
                None => self.counts.unkeyed += 1,
            },
        }
    }

    fn decide(&mut self) {
        let Some(kind) = self.first.decided() else { return };
        let state = match kind {
            Some(kind) => State::Keyed(kind, Box::new(Pairer::new(self.options))),
            None => State::Keyless(Box::new(KeylessPairer::new(self.group, self.options))),
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
                    let key = Key { group: self.group, id: 0 };
                    let (ts_ns, carry) = (event.ts_ns, event.carry);
                    self.dropped.push(Pair { ts_ns, key, latency_ns: None, carry });
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

    /// The frames that are finished, in order of time, and forgets them.
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
        let mut pairer = PipelinePairer::new(0, options, FirstKeys::default());
        for (ts_ns, side, keys) in events {
            pairer.push(*ts_ns, *side, *keys, ());
        }
        pairer.finish();
        (pairer.take().into_iter().map(|pair| pair.latency_ns).collect(), pairer.counts())
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
    fn without_a_key_in_common_they_are_paired_in_order() {
        let (found, counts) = latencies(&[
            (0, Side::A, keys(Some(1), None)),
            (5, Side::B, NONE),
            (20, Side::A, keys(Some(2), None)),
            (25, Side::B, NONE),
        ]);
        assert_eq!(found, [Some(5), Some(5)]);
        assert_eq!(counts.paired, 2);
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
