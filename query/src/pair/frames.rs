//! Finished frames as columns; each is made only where it is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use bl_align::pair::{Fate, PairArrays, Paired, PairedBy};
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    StringArray,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::datatypes::Int32Type;
use datafusion::common::Result;

/// What `paired_by` says of frames that were paired in their order.
const ORDER: &str = "order";

/// Frames in order of time. Each carries the number of its `stage_a` event's row.
pub(super) enum Frames {
    /// By the one key that was named.
    Given(Box<PairArrays<u64>>),
    /// Each as the events of its group prove.
    Best(Vec<Paired<u64>>),
}

impl Frames {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Frames::Given(frames) => frames.carry.len(),
            Frames::Best(frames) => frames.len(),
        }
    }

    /// When each entered `stage_a`.
    pub fn ts_ns(&self) -> Int64Array {
        match self {
            Frames::Given(frames) => frames.ts_ns.clone(),
            Frames::Best(frames) => frames.iter().map(|frame| frame.pair.ts_ns).collect(),
        }
    }

    /// The number of its key.
    pub fn id(&self) -> Int64Array {
        match self {
            Frames::Given(frames) => frames.id.clone(),
            Frames::Best(frames) => frames.iter().map(|frame| frame.pair.key.id).collect(),
        }
    }

    /// Nanoseconds to `stage_b`; null where it did not get there, or nobody can tell.
    pub fn latency_ns(&self) -> Int64Array {
        match self {
            Frames::Given(frames) => frames.latency_ns.clone(),
            Frames::Best(frames) => frames.iter().map(|frame| frame.pair.latency_ns).collect(),
        }
    }

    /// Whether it never reached `stage_b`; null where nobody can tell.
    pub fn dropped(&self) -> BooleanArray {
        match self {
            Frames::Given(frames) => {
                let dropped = match frames.latency_ns.nulls() {
                    Some(paired) => !paired.inner(),
                    None => BooleanBuffer::new_unset(self.len()),
                };
                let told = (frames.ambiguous.true_count() > 0)
                    .then(|| NullBuffer::new(!frames.ambiguous.values()));
                BooleanArray::new(dropped, told)
            }
            Frames::Best(frames) => {
                let told = frames.iter().map(|frame| match frame.pair.fate() {
                    Fate::Paired { .. } => Some(false),
                    Fate::Dropped => Some(true),
                    Fate::Ambiguous => None,
                });
                told.collect()
            }
        }
    }

    /// What told which event ended it: one of the keys, by these names, or the order of the frames; null where no event
    /// of the other stage was there.
    pub fn paired_by(&self, names: &[String]) -> Result<ArrayRef> {
        let found: Int32Array = match self {
            Frames::Given(frames) => frames.carry.iter().map(|_| Some(0)).collect(),
            Frames::Best(frames) => {
                let found = frames.iter().map(|frame| {
                    frame.by.map(|by| match by {
                        PairedBy::Key(kind) => i32::from(kind),
                        PairedBy::Order => names.len() as i32,
                    })
                });
                found.collect()
            }
        };
        let names = names.iter().map(String::as_str).chain([ORDER]);
        let names = Arc::new(StringArray::from_iter_values(names));
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(found, names)?))
    }

    /// The probability that the row is true as it is told.
    pub fn confidence(&self) -> Float64Array {
        match self {
            Frames::Given(frames) => match &frames.confidence {
                Some(confidence) => confidence.unary(f64::from),
                // By a key: certain, or given up.
                None => frames
                    .ambiguous
                    .values()
                    .iter()
                    .map(|is_ambiguous| Some(if is_ambiguous { 0.0 } else { 1.0 }))
                    .collect(),
            },
            Frames::Best(frames) => {
                frames.iter().map(|frame| Some(f64::from(frame.pair.confidence))).collect()
            }
        }
    }

    /// Numbers of the `stage_a` events' rows, ascending.
    pub fn rows(&self) -> Cow<'_, [u64]> {
        match self {
            Frames::Given(frames) => Cow::Borrowed(&frames.carry),
            Frames::Best(frames) => frames.iter().map(|frame| frame.pair.carry).collect(),
        }
    }
}
