//! The frames of one pipeline between two stages.

use std::collections::VecDeque;

use bl_align::pair::{Event, Key, KeylessPairer, PairOptions, Pairer, Pairs, Side};
use serde::{Deserialize, Serialize};

/// What an event says about its frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub number: Option<i64>,
    pub key_ns: Option<i64>,
    pub pts_ns: Option<i64>,
}

/// What identifies the frames of a pipeline, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyKind {
    Frame,
    KeyNs,
    PtsNs,
}

const KINDS: [KeyKind; 3] = [KeyKind::Frame, KeyKind::KeyNs, KeyKind::PtsNs];

impl KeyKind {
    fn of(self, frame: Frame) -> Option<i64> {
        match self {
            KeyKind::Frame => frame.number,
            KeyKind::KeyNs => frame.key_ns,
            KeyKind::PtsNs => frame.pts_ns,
        }
    }
}

/// The keys that the first event of each stage had, which decide how the pipeline is paired: by the best key
/// that both have, and in order where they share none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstKeys {
    pub a: Option<Vec<KeyKind>>,
    pub b: Option<Vec<KeyKind>>,
}

impl FirstKeys {
    fn see(&mut self, side: Side, frame: Frame) {
        let keys = match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        };
        keys.get_or_insert_with(|| {
            KINDS.into_iter().filter(|kind| kind.of(frame).is_some()).collect()
        });
    }

    /// The key to pair by, once both stages were seen: `Some(None)` where there is none.
    pub fn decided(&self) -> Option<Option<KeyKind>> {
        let (a, b) = (self.a.as_ref()?, self.b.as_ref()?);
        Some(a.iter().find(|kind| b.contains(kind)).copied())
    }
}

/// A frame that entered `stage_a`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub ts_ns: i64,
    /// None: dropped.
    pub latency_ns: Option<i64>,
    pub frame: Frame,
    /// What it was paired by.
    pub id: i64,
}

enum State {
    /// One of the stages was not seen yet.
    Open(VecDeque<(i64, Side, Frame)>),
    Keyed(KeyKind, Box<Pairer<Frame>>),
    Keyless(Box<KeylessPairer<Frame>>),
}

/// Pairs the events of one pipeline.
pub(super) struct Pairing {
    options: PairOptions,
    pub first: FirstKeys,
    state: State,
    watermark_ns: i64,
    done: Vec<Done>,
    /// Events left out: they have not the key that the others of the pipeline are paired by.
    pub unkeyed: u64,
}

impl Pairing {
    /// `first` is what was seen before, where the events go on from there.
    pub fn new(window_ns: i64, first: FirstKeys) -> Self {
        let options = PairOptions { window_ns, ..PairOptions::default() };
        let mut pairing = Self {
            options,
            first,
            state: State::Open(VecDeque::new()),
            watermark_ns: i64::MIN,
            done: Vec::new(),
            unkeyed: 0,
        };
        pairing.decide();
        pairing
    }

    /// Whether its events have no key, so that pairs depend on all events before.
    pub fn is_keyless(&self) -> bool {
        matches!(self.state, State::Keyless(_))
    }

    /// The key of an event, where pairing is by one.
    pub fn id(&self, frame: Frame) -> Option<i64> {
        match self.state {
            State::Keyed(kind, _) => kind.of(frame),
            _ => None,
        }
    }

    /// Takes an event, in order of time.
    pub fn push(&mut self, ts_ns: i64, side: Side, frame: Frame) {
        self.advance(ts_ns);
        if let State::Open(events) = &mut self.state {
            events.push_back((ts_ns, side, frame));
            self.first.see(side, frame);
            return self.decide();
        }
        self.pair(ts_ns, side, frame);
    }

    fn pair(&mut self, ts_ns: i64, side: Side, frame: Frame) {
        match &mut self.state {
            State::Open(_) => {}
            State::Keyless(pairer) => {
                pairer.push(Event { ts_ns, key: Key::default(), side, carry: frame });
            }
            State::Keyed(kind, pairer) => match kind.of(frame) {
                Some(id) => {
                    pairer.push(Event { ts_ns, key: Key { group: 0, id }, side, carry: frame });
                }
                None => self.unkeyed += 1,
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
            for (ts_ns, side, frame) in events {
                self.pair(ts_ns, side, frame);
            }
        }
    }

    /// Tells that every event before this instant was pushed.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.watermark_ns = self.watermark_ns.max(watermark_ns);
        let oldest_ns = watermark_ns.saturating_sub(self.options.window_ns.max(0));
        match &mut self.state {
            State::Keyed(_, pairer) => pairer.advance(watermark_ns),
            State::Keyless(pairer) => pairer.advance(watermark_ns),
            State::Open(events) => {
                let gone = |(ts_ns, side, _): &(i64, Side, Frame)| match side {
                    Side::A => *ts_ns < oldest_ns,
                    Side::B => *ts_ns < watermark_ns,
                };
                while events.front().is_some_and(gone) {
                    if let Some((ts_ns, Side::A, frame)) = events.pop_front() {
                        self.done.push(Done { ts_ns, latency_ns: None, frame, id: 0 });
                    }
                }
            }
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

    /// The frames that are finished, in order of time.
    pub fn take(&mut self) -> Vec<Done> {
        let pairs: Pairs<Frame> = match &mut self.state {
            State::Open(_) => Pairs::default(),
            State::Keyed(_, pairer) => pairer.take(),
            State::Keyless(pairer) => pairer.take(),
        };
        let mut done = std::mem::take(&mut self.done);
        done.extend(pairs.iter().map(|pair| Done {
            ts_ns: pair.ts_ns,
            latency_ns: pair.latency_ns,
            frame: pair.carry,
            id: pair.key.id,
        }));
        done
    }

    /// Every frame that began before this instant was finished.
    pub fn settled_until_ns(&self) -> i64 {
        match &self.state {
            State::Open(events) => {
                events.front().map_or(self.watermark_ns, |event| event.0.min(self.watermark_ns))
            }
            State::Keyed(_, pairer) => pairer.settled_until_ns(),
            State::Keyless(pairer) => pairer.settled_until_ns(),
        }
    }
}
