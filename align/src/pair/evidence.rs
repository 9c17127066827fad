//! Which key tells the frames of a pipeline: that which both of its stages tell, by what they did tell.

use std::collections::HashSet;

use arrow_buffer::NullBuffer;

use super::Side;

/// Keys of an event, at most.
pub const MAX_KEYS: usize = 4;

/// What identifies the frame of an event, best first; `None` where the event does not tell.
pub type FrameKeys = [Option<i64>; MAX_KEYS];

/// A column of keys, and which of them are there.
pub type KeyColumn<'a> = (&'a [i64], Option<&'a NullBuffer>);

/// How a row was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PairedBy {
    /// By the key of that number, counted from the best.
    Key(u8),
    /// By the order of the frames, as the stages share no key.
    Order,
}

/// A key is that of the frames where this share of the `stage_b` events has one that a frame began
/// with; with less, no frame is told by it.
const LEAST_SHARE: f64 = 0.125;
/// With this share it is so at once.
const SURE_SHARE: f64 = 0.5;

/// What was seen of one kind of key.
#[derive(Debug, Default)]
struct Kind {
    /// Keys that frames began with, in this stretch of time and the one before.
    begun: [HashSet<i64>; 2],
    /// `stage_b` events that had one, once any frame had.
    tries: u32,
    /// Those of them that ended a frame.
    hits: u32,
}

impl Kind {
    fn share(&self) -> f64 {
        f64::from(self.hits) / f64::from(self.tries.max(1))
    }
}

/// The keys of one pipeline over the last windows.
#[derive(Debug)]
pub(super) struct Evidence {
    window_ns: i64,
    since_ns: i64,
    kinds: [Kind; MAX_KEYS],
}

impl Evidence {
    pub fn new(window_ns: i64) -> Self {
        Self { window_ns: window_ns.max(0), since_ns: i64::MIN, kinds: Default::default() }
    }

    /// Takes the keys of an event.
    pub fn see(&mut self, ts_ns: i64, side: Side, keys: &FrameKeys) {
        if ts_ns.saturating_sub(self.since_ns) > self.window_ns {
            self.since_ns = ts_ns;
            for kind in &mut self.kinds {
                kind.begun.swap(0, 1);
                kind.begun[0].clear();
            }
        }
        for (kind, key) in self.kinds.iter_mut().zip(keys) {
            let Some(key) = key else { continue };
            match side {
                Side::A => {
                    kind.begun[0].insert(*key);
                }
                Side::B if kind.begun.iter().all(HashSet::is_empty) => {}
                Side::B => {
                    kind.tries += 1;
                    kind.hits += u32::from(kind.begun.iter().any(|begun| begun.contains(key)));
                }
            }
        }
    }

    /// The best key that surely is the frames'.
    pub fn sure(&self) -> Option<u8> {
        let is_sure = |kind: &Kind| kind.hits > 0 && kind.share() >= SURE_SHARE;
        self.kinds.iter().position(is_sure).map(|kind| kind as u8)
    }

    /// The same, where it was tried this often.
    pub fn proven(&self, tries: u32) -> Option<u8> {
        self.sure().filter(|kind| self.kinds[usize::from(*kind)].tries >= tries)
    }

    /// What most of the evidence is for: the order where no key was tried, or one in vain so often.
    pub fn likeliest(&self, tries: u32) -> PairedBy {
        let mut found: Option<(u8, f64)> = None;
        for (at, kind) in self.kinds.iter().enumerate() {
            let is_open = kind.tries > 0 && (kind.tries < tries || kind.share() >= LEAST_SHARE);
            if is_open && found.is_none_or(|(_, most)| kind.share() > most) {
                found = Some((at as u8, kind.share()));
            }
        }
        found.map_or(PairedBy::Order, |(kind, _)| PairedBy::Key(kind))
    }

    /// Whether a key that both stages have was not tried so often.
    pub fn is_thin(&self, tries: u32) -> bool {
        self.kinds.iter().any(|kind| (1..tries).contains(&kind.tries))
    }

    /// Forgets how often keys were tried, once one was that often.
    pub fn forget(&mut self, tries: u32) {
        if self.kinds.iter().any(|kind| kind.tries >= tries) {
            self.kinds.iter_mut().for_each(|kind| (kind.tries, kind.hits) = (0, 0));
        }
    }
}

/// Whether so many of the `stage_b` events ended a frame that their key still is the frames'.
pub(super) fn still_tells(hits: u64, ends: u64) -> bool {
    hits as f64 >= LEAST_SHARE * ends as f64
}
