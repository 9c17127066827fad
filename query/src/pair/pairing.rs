//! The pairing of one operator: by one key as columns, or by the best key of each group.

use std::ops::Add;

use bl_align::pair::{
    Events, FirstKeys, FrameKeys, MAX_KEYS, Order, Pair, PairCounts, PairOptions, Pairer,
    PipelinePairer, Side, Wanted,
};
use datafusion::arrow::array::Int64Array;
use datafusion::arrow::buffer::{NullBuffer, ScalarBuffer};

use super::node::{KeyRule, PairWhat};

/// A column of keys, and which of them are not null.
pub(super) type KeyColumn = (ScalarBuffer<i64>, Option<NullBuffer>);

/// Events of a batch, in order of time.
pub(super) struct Batch<'a> {
    pub ts_ns: &'a [i64],
    pub sides: &'a [Option<Side>],
    pub keys: &'a [KeyColumn],
    pub group: Option<&'a [u32]>,
    /// Number of the first row.
    pub first: u64,
}

/// Frames that are finished, in order of time; `row` is the number of the `stage_a` event's row.
pub(super) struct Frames {
    pub ts_ns: Int64Array,
    pub id: Int64Array,
    pub latency_ns: Int64Array,
    pub row: Vec<u64>,
}

pub(super) enum Pairing {
    /// By one key: whole columns at a time.
    Given(Box<Pairer<u64>>),
    /// By the best key that both stages of a group tell.
    Best(Groups),
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
            KeyRule::Best => Pairing::Best(Groups::new(options)),
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
            (Pairing::Best(groups), _) => groups.push(batch),
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
            Pairing::Best(groups) => groups.settled(),
        }
    }

    pub fn take(&mut self) -> Frames {
        match self {
            Pairing::Given(pairer) => {
                let rows = pairer.take().into_arrays();
                let (ts_ns, id, latency_ns) = (rows.ts_ns, rows.id, rows.latency_ns);
                Frames { ts_ns, id, latency_ns, row: rows.carry }
            }
            Pairing::Best(groups) => {
                let rows = groups.take();
                Frames {
                    ts_ns: rows.iter().map(|pair| pair.ts_ns).collect(),
                    id: rows.iter().map(|pair| pair.key.id).collect(),
                    latency_ns: rows.iter().map(|pair| pair.latency_ns).collect(),
                    row: rows.iter().map(|pair| pair.carry).collect(),
                }
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

/// A pairing for each group, merged in order of time.
pub(super) struct Groups {
    options: PairOptions,
    pairers: Vec<PipelinePairer<u64>>,
    /// Finished frames by the number of their row, which ascends with time.
    done: Vec<Pair<u64>>,
    watermark_ns: i64,
}

impl Groups {
    fn new(options: PairOptions) -> Self {
        Groups { options, pairers: Vec::new(), done: Vec::new(), watermark_ns: i64::MIN }
    }

    fn push(&mut self, batch: &Batch<'_>) {
        for (row, side) in batch.sides.iter().enumerate() {
            let Some(side) = *side else { continue };
            let group = batch.group.map_or(0, |group| group[row]) as usize;
            let mut keys: FrameKeys = [None; MAX_KEYS];
            for (key, (id, nulls)) in keys.iter_mut().zip(batch.keys) {
                *key = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then(|| id[row]);
            }
            self.pairer(group).push(batch.ts_ns[row], side, keys, batch.first + row as u64);
        }
        if let Some(&last_ns) = batch.ts_ns.last() {
            self.watermark_ns = self.watermark_ns.max(last_ns);
        }
        let watermark_ns = self.watermark_ns;
        self.pairers.iter_mut().for_each(|pairer| pairer.advance(watermark_ns));
        self.collect();
    }

    /// The pairer of a group; groups are numbered as they come.
    fn pairer(&mut self, group: usize) -> &mut PipelinePairer<u64> {
        while self.pairers.len() <= group {
            let number = self.pairers.len() as u32;
            self.pairers.push(PipelinePairer::new(number, self.options, FirstKeys::default()));
        }
        &mut self.pairers[group]
    }

    fn collect(&mut self) {
        let wanted = self.options.wanted;
        for pairer in &mut self.pairers {
            let rows = pairer.take().into_iter();
            self.done
                .extend(rows.filter(|pair| wanted == Wanted::All || pair.latency_ns.is_some()));
        }
        self.done.sort_by_key(|pair| pair.carry);
    }

    fn finish(&mut self) {
        self.pairers.iter_mut().for_each(PipelinePairer::finish);
        self.watermark_ns = i64::MAX;
        self.collect();
    }

    /// How many frames no frame to come precedes.
    fn settled(&self) -> usize {
        let open = self.pairers.iter().map(PipelinePairer::settled_until_ns).min();
        match self.watermark_ns {
            i64::MAX => self.done.len(),
            watermark_ns => {
                let bound_ns = open.unwrap_or(watermark_ns);
                self.done.partition_point(|pair| pair.ts_ns < bound_ns)
            }
        }
    }

    fn take(&mut self) -> Vec<Pair<u64>> {
        let later = self.done.split_off(self.settled());
        std::mem::replace(&mut self.done, later)
    }

    fn counts(&self) -> PairCounts {
        self.pairers.iter().map(PipelinePairer::counts).fold(PairCounts::default(), Add::add)
    }
}
