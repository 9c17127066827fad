//! The pairing of one operator: by one key as columns, or by the best key of each group.

use bl_align::pair::{
    Events, KeyColumn, Order, PairCounts, PairOptions, Pairer, Pipelines, Side, StageEvents, Wanted,
};
use datafusion::arrow::buffer::{NullBuffer, ScalarBuffer};

use super::frames::Frames;
use super::node::{KeyRule, PairWhat};

/// A column of keys, and which of them are not null.
pub(super) type OwnedKeys = (ScalarBuffer<i64>, Option<NullBuffer>);

/// Events of a batch, in order of time.
pub(super) struct Batch<'a> {
    pub ts_ns: &'a [i64],
    pub sides: &'a [Option<Side>],
    pub keys: &'a [OwnedKeys],
    pub group: Option<&'a [u32]>,
    /// Number of the first row.
    pub first: u64,
}

pub(super) enum Pairing {
    /// By one key: whole columns at a time.
    Given(Box<Pairer<u64>>),
    /// By the best key that both stages of a group tell.
    Best(Pipelines<u64>),
}

impl Pairing {
    pub fn new(what: &PairWhat) -> Self {
        let options = PairOptions {
            window_ns: what.window_ns,
            order: Order::StageA,
            wanted: if what.with_drops { Wanted::All } else { Wanted::Pairs },
            ..PairOptions::default()
        };
        match what.key {
            KeyRule::Given => Pairing::Given(Box::new(Pairer::new(options))),
            KeyRule::Best => Pairing::Best(Pipelines::new(options)),
        }
    }

    pub fn push(&mut self, batch: &Batch<'_>) {
        match (self, batch.keys) {
            (Pairing::Given(pairer), [(id, nulls)]) => {
                let Batch { ts_ns, group, .. } = *batch;
                let events = Events { ts_ns, id, id_nulls: nulls.as_ref(), group };
                let first = batch.first;
                pairer.push_columns(&events, |row| batch.sides[row], |row| first + row as u64);
            }
            (Pairing::Given(_), _) => {}
            (Pairing::Best(groups), keys) => {
                let keys: Vec<KeyColumn<'_>> =
                    keys.iter().map(|(id, nulls)| (id.as_ref(), nulls.as_ref())).collect();
                let Batch { ts_ns, group: pipeline, first, .. } = *batch;
                let events = StageEvents { ts_ns, keys: &keys, pipeline };
                groups.push_columns(&events, |row| batch.sides[row], |row| first + row as u64);
            }
        }
    }

    pub fn finish(&mut self) {
        match self {
            Pairing::Given(pairer) => pairer.finish(),
            Pairing::Best(groups) => groups.finish(),
        }
    }

    /// How many finished frames wait to be taken.
    pub fn ready(&self) -> usize {
        match self {
            Pairing::Given(pairer) => pairer.ready(),
            Pairing::Best(groups) => groups.ready(),
        }
    }

    /// Those that none to come precedes, in order of time, and of one instant in the order of the input.
    pub fn take(&mut self) -> Frames {
        match self {
            Pairing::Given(pairer) => Frames::Given(Box::new(pairer.take().into_arrays())),
            Pairing::Best(groups) => {
                let mut rows = groups.take_settled();
                rows.sort_by_key(|row| row.pair.carry);
                Frames::Best(rows)
            }
        }
    }

    pub fn counts(&self) -> PairCounts {
        match self {
            Pairing::Given(pairer) => pairer.counts(),
            Pairing::Best(groups) => groups.counts(),
        }
    }
}
