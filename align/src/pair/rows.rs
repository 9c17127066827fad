//! The rows that pairing gives out, column by column.

use arrow_array::{Int64Array, UInt32Array};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};

use super::Key;

/// One row: a frame that entered `stage_a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<P = ()> {
    /// Time of the `stage_a` event.
    pub ts_ns: i64,
    /// What identifies the frame.
    pub key: Key,
    /// Time from `stage_a` to `stage_b`; `None` when the frame was dropped.
    pub latency_ns: Option<i64>,
    /// What was pushed with the `stage_a` event.
    pub carry: P,
}

/// Finished rows as columns of equal length. A dropped frame's latency is null.
#[derive(Clone, Debug)]
pub struct Pairs<P = ()> {
    ts_ns: Vec<i64>,
    id: Vec<i64>,
    group: Vec<u32>,
    /// Negative: dropped.
    latency_ns: Vec<i64>,
    carry: Vec<P>,
}

impl<P> Default for Pairs<P> {
    fn default() -> Self {
        Self {
            ts_ns: Vec::new(),
            id: Vec::new(),
            group: Vec::new(),
            latency_ns: Vec::new(),
            carry: Vec::new(),
        }
    }
}

impl<P: Copy> Pairs<P> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ts_ns.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ts_ns.is_empty()
    }

    /// The rows one by one.
    pub fn iter(&self) -> impl Iterator<Item = Pair<P>> + '_ {
        (0..self.len()).map(|row| Pair {
            ts_ns: self.ts_ns[row],
            key: Key { group: self.group[row], id: self.id[row] },
            latency_ns: (self.latency_ns[row] >= 0).then_some(self.latency_ns[row]),
            carry: self.carry[row],
        })
    }

    /// The columns as Arrow arrays, without a copy.
    pub fn into_arrays(self) -> PairArrays<P> {
        let latency = self.latency_ns;
        let paired = BooleanBuffer::collect_bool(latency.len(), |row| latency[row] >= 0);
        let nulls = Some(NullBuffer::new(paired)).filter(|nulls| nulls.null_count() > 0);
        PairArrays {
            ts_ns: Int64Array::new(ScalarBuffer::from(self.ts_ns), None),
            id: Int64Array::new(ScalarBuffer::from(self.id), None),
            group: UInt32Array::new(ScalarBuffer::from(self.group), None),
            latency_ns: Int64Array::new(ScalarBuffer::from(latency), nulls),
            carry: self.carry,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, ts_ns: i64, key: Key, latency_ns: i64, carry: P) {
        self.ts_ns.push(ts_ns);
        self.id.push(key.id);
        self.group.push(key.group);
        self.latency_ns.push(latency_ns);
        self.carry.push(carry);
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.ts_ns.reserve(rows);
        self.id.reserve(rows);
        self.group.reserve(rows);
        self.latency_ns.reserve(rows);
        self.carry.reserve(rows);
    }
}

/// [`Pairs`] as Arrow arrays.
#[derive(Clone, Debug)]
pub struct PairArrays<P = ()> {
    /// Times of the `stage_a` events, never null.
    pub ts_ns: Int64Array,
    /// The `id` of each key, never null. An unsigned key's bits: reinterpret them.
    pub id: Int64Array,
    /// The `group` of each key, never null.
    pub group: UInt32Array,
    /// Nanoseconds from `stage_a` to `stage_b`; null where the frame was dropped.
    pub latency_ns: Int64Array,
    /// What was pushed with each `stage_a` event.
    pub carry: Vec<P>,
}
