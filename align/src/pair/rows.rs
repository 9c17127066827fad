//! The rows that pairing gives out, column by column.

use arrow_array::{BooleanArray, Float32Array, Int64Array, UInt32Array};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};

use super::Key;

/// The private latency of a dropped frame.
pub(super) const DROPPED: i64 = -1;
/// The private latency of a frame that timing tells nothing about.
pub(super) const AMBIGUOUS: i64 = -2;

/// What became of a frame that entered `stage_a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It reached `stage_b`.
    Paired {
        /// Nanoseconds from `stage_a` to `stage_b`.
        latency_ns: i64,
    },
    /// It never reached `stage_b`.
    Dropped,
    /// Timing cannot tell which `stage_b` event ended it, or whether any did. Only pairing without
    /// a key tells this.
    Ambiguous,
}

/// One row: a frame that entered `stage_a`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<P = ()> {
    /// Time of the `stage_a` event.
    pub ts_ns: i64,
    /// What identifies the frame.
    pub key: Key,
    /// Time from `stage_a` to `stage_b`; `None` when the frame was dropped or is ambiguous.
    pub latency_ns: Option<i64>,
    /// Whether timing cannot tell what became of the frame. It has no latency then.
    pub ambiguous: bool,
    /// The probability, 0 to 1, that the row is true as told: 1 where frames are paired by key. Of
    /// an ambiguous row, that of the likeliest fate, which was too little to tell it; 0 where
    /// nothing is known.
    pub confidence: f32,
    /// What was pushed with the `stage_a` event.
    pub carry: P,
}

impl<P> Pair<P> {
    /// A frame that surely never reached `stage_b`.
    pub(super) fn dropped(ts_ns: i64, key: Key, carry: P) -> Self {
        Self { ts_ns, key, latency_ns: None, ambiguous: false, confidence: 1.0, carry }
    }

    /// What became of the frame.
    pub fn fate(&self) -> Fate {
        match self.latency_ns {
            Some(latency_ns) => Fate::Paired { latency_ns },
            None if self.ambiguous => Fate::Ambiguous,
            None => Fate::Dropped,
        }
    }
}

/// Finished rows as columns of equal length. The latency of a dropped or ambiguous frame is null.
#[derive(Clone, Debug)]
pub struct Pairs<P = ()> {
    ts_ns: Vec<i64>,
    id: Vec<i64>,
    group: Vec<u32>,
    /// Negative: [`DROPPED`] or [`AMBIGUOUS`].
    latency_ns: Vec<i64>,
    /// Empty where rows are paired by key: certain, or given up.
    confidence: Vec<f32>,
    carry: Vec<P>,
}

impl<P> Default for Pairs<P> {
    fn default() -> Self {
        Self {
            ts_ns: Vec::new(),
            id: Vec::new(),
            group: Vec::new(),
            latency_ns: Vec::new(),
            confidence: Vec::new(),
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
        (0..self.len()).map(|row| {
            let ambiguous = self.latency_ns[row] == AMBIGUOUS;
            let by_key = if ambiguous { 0.0 } else { 1.0 };
            Pair {
                ts_ns: self.ts_ns[row],
                key: Key { group: self.group[row], id: self.id[row] },
                latency_ns: (self.latency_ns[row] >= 0).then_some(self.latency_ns[row]),
                ambiguous,
                confidence: self.confidence.get(row).copied().unwrap_or(by_key),
                carry: self.carry[row],
            }
        })
    }

    /// The columns as Arrow arrays, without a copy.
    pub fn into_arrays(self) -> PairArrays<P> {
        let latency = self.latency_ns;
        let paired = BooleanBuffer::collect_bool(latency.len(), |row| latency[row] >= 0);
        let nulls = Some(NullBuffer::new(paired)).filter(|nulls| nulls.null_count() > 0);
        let ambiguous = BooleanBuffer::collect_bool(latency.len(), |row| latency[row] == AMBIGUOUS);
        let confidence = Some(self.confidence).filter(|confidence| !confidence.is_empty());
        PairArrays {
            ts_ns: Int64Array::new(ScalarBuffer::from(self.ts_ns), None),
            id: Int64Array::new(ScalarBuffer::from(self.id), None),
            group: UInt32Array::new(ScalarBuffer::from(self.group), None),
            latency_ns: Int64Array::new(ScalarBuffer::from(latency), nulls),
            ambiguous: BooleanArray::new(ambiguous, None),
            confidence: confidence.map(|of| Float32Array::new(ScalarBuffer::from(of), None)),
            carry: self.carry,
        }
    }

    /// A row that is certain. A table holds either such rows or those of [`Self::push_unsure`].
    #[inline]
    pub(super) fn push(&mut self, ts_ns: i64, key: Key, latency_ns: i64, carry: P) {
        self.ts_ns.push(ts_ns);
        self.id.push(key.id);
        self.group.push(key.group);
        self.latency_ns.push(latency_ns);
        self.carry.push(carry);
    }

    /// A row with its confidence.
    pub(super) fn push_unsure(
        &mut self,
        ts_ns: i64,
        key: Key,
        latency_ns: i64,
        confidence: f32,
        carry: P,
    ) {
        self.push(ts_ns, key, latency_ns, carry);
        self.confidence.push(confidence);
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
    /// Nanoseconds from `stage_a` to `stage_b`; null where the frame was dropped or is ambiguous.
    pub latency_ns: Int64Array,
    /// Whether timing cannot tell what became of the frame, never null: where it is set the
    /// latency is null and the frame is not known to be dropped.
    pub ambiguous: BooleanArray,
    /// The probability, 0 to 1, that each row is true as told, never null: see
    /// [`Pair::confidence`]. `None` where pairing is by key: every row's is 1.
    pub confidence: Option<Float32Array>,
    /// What was pushed with each `stage_a` event.
    pub carry: Vec<P>,
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn a_row_tells_one_fate_and_how_sure_it_is() {
        let key = Key::default();
        let mut rows = Pairs::default();
        rows.push_unsure(10, key, 5, 0.9995, ());
        rows.push_unsure(20, key, DROPPED, 1.0, ());
        rows.push_unsure(30, key, AMBIGUOUS, 0.5, ());
        let fates: Vec<_> = rows.iter().map(|pair| (pair.fate(), pair.latency_ns)).collect();
        let expected = [
            (Fate::Paired { latency_ns: 5 }, Some(5)),
            (Fate::Dropped, None),
            (Fate::Ambiguous, None),
        ];
        assert_eq!(fates, expected);

        let arrays = rows.into_arrays();
        assert_eq!(arrays.latency_ns.iter().collect::<Vec<_>>(), [Some(5), None, None]);
        let ambiguous: Vec<_> = arrays.ambiguous.iter().collect();
        assert_eq!(ambiguous, [Some(false), Some(false), Some(true)]);
        let confidence = arrays.confidence.unwrap();
        assert_eq!(
            (confidence.values().as_ref(), confidence.null_count()),
            (&[0.9995, 1.0, 0.5][..], 0)
        );
    }

    #[test]
    fn a_row_by_key_is_certain() {
        let mut rows = Pairs::default();
        rows.push(10, Key::default(), DROPPED, ());
        assert!(rows.iter().all(|pair| pair.confidence == 1.0 && pair.fate() == Fate::Dropped));
    }
}
