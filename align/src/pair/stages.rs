//! Several pairs of stages, in one pass over the events of all stages.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, DictionaryArray};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use super::{Events, PairOptions, Pairer, Side};

/// A pair of stages that cannot be looked for, or a column that does not hold stages.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StageError {
    /// Both ends are the same stage.
    #[error("stage {stage:?} cannot be paired with itself: name two stages")]
    Same {
        /// The stage.
        stage: String,
    },
    /// The stage column is no column of strings.
    #[error("the stage column is of type {found}: give strings, or a dictionary of strings")]
    NotStrings {
        /// Its type.
        found: DataType,
    },
}

/// One pair of stages and its pairer.
pub struct StagePair<P = ()> {
    /// The stage where a frame begins.
    pub stage_a: String,
    /// The stage where it ends.
    pub stage_b: String,
    /// Pairs the events of both.
    pub pairer: Pairer<P>,
}

impl<P: Copy + Default> StagePair<P> {
    fn side(&self, stage: &str) -> Option<Side> {
        match stage {
            stage if stage == self.stage_a => Some(Side::A),
            stage if stage == self.stage_b => Some(Side::B),
            _ => None,
        }
    }
}

/// Pairs of stages that are fed with the same events. A stage may be in several of them, and be
/// the end of one and the beginning of another.
pub struct StagePairs<P = ()> {
    pairs: Vec<StagePair<P>>,
}

impl<P: Copy + Default> StagePairs<P> {
    /// Looks for each `(stage_a, stage_b)`.
    ///
    /// # Errors
    /// When a stage is to be paired with itself.
    pub fn new<S: Into<String>>(
        pairs: impl IntoIterator<Item = (S, S)>,
        options: PairOptions,
    ) -> Result<Self, StageError> {
        let pair = |(stage_a, stage_b): (S, S)| {
            let (stage_a, stage_b) = (stage_a.into(), stage_b.into());
            match stage_a == stage_b {
                true => Err(StageError::Same { stage: stage_a }),
                false => Ok(StagePair { stage_a, stage_b, pairer: Pairer::new(options) }),
            }
        };
        Ok(Self { pairs: pairs.into_iter().map(pair).collect::<Result<_, _>>()? })
    }

    /// Takes the events of all stages, with the column that names the stage of each: strings, or a
    /// dictionary of strings. A null stage is none of those looked for.
    ///
    /// # Errors
    /// When `stage` does not hold strings.
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_columns(
        &mut self,
        events: &Events<'_>,
        stage: &ArrayRef,
        carry: impl Fn(usize) -> P,
    ) -> Result<(), StageError> {
        assert_eq!(events.ts_ns.len(), stage.len(), "times and stages differ in length");
        match stage.data_type() {
            DataType::Dictionary(keys, _) => match keys.as_ref() {
                DataType::Int8 => self.push_dictionary::<Int8Type>(events, stage, carry),
                DataType::Int16 => self.push_dictionary::<Int16Type>(events, stage, carry),
                DataType::Int32 => self.push_dictionary::<Int32Type>(events, stage, carry),
                DataType::Int64 => self.push_dictionary::<Int64Type>(events, stage, carry),
                DataType::UInt8 => self.push_dictionary::<UInt8Type>(events, stage, carry),
                DataType::UInt16 => self.push_dictionary::<UInt16Type>(events, stage, carry),
                DataType::UInt32 => self.push_dictionary::<UInt32Type>(events, stage, carry),
                _ => self.push_dictionary::<UInt64Type>(events, stage, carry),
            },
            _ => {
                let names = names(stage)?;
                for pair in &mut self.pairs {
                    let sides: Vec<_> =
                        names.iter().map(|name| name.and_then(|name| pair.side(name))).collect();
                    pair.pairer.push_columns(events, |row| sides[row], &carry);
                }
                Ok(())
            }
        }
    }

    /// [`Pairer::advance`] of every pair.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.pairs.iter_mut().for_each(|pair| pair.pairer.advance(watermark_ns));
    }

    /// [`Pairer::finish`] of every pair.
    pub fn finish(&mut self) {
        self.pairs.iter_mut().for_each(|pair| pair.pairer.finish());
    }

    /// The pairs in the order given, to take their rows from.
    pub fn pairs(&mut self) -> &mut [StagePair<P>] {
        &mut self.pairs
    }

    /// The names of a dictionary are compared once a batch, not once a row.
    fn push_dictionary<K: ArrowDictionaryKeyType>(
        &mut self,
        events: &Events<'_>,
        stage: &ArrayRef,
        carry: impl Fn(usize) -> P,
    ) -> Result<(), StageError> {
        let stages: &DictionaryArray<K> = stage.as_dictionary();
        let names = names(stages.values())?;
        let codes = stages.keys().values();
        for pair in &mut self.pairs {
            let side = |name: &Option<&str>| name.and_then(|name| pair.side(name));
            let sides: Vec<_> = names.iter().map(side).collect();
            match stages.keys().nulls() {
                None => {
                    pair.pairer.push_columns(events, |row| sides[codes[row].as_usize()], &carry)
                }
                Some(nulls) => {
                    let side = |row| nulls.is_valid(row).then(|| sides[codes[row].as_usize()]);
                    pair.pairer.push_columns(events, |row| side(row).flatten(), &carry);
                }
            }
        }
        Ok(())
    }
}

fn names(strings: &ArrayRef) -> Result<Vec<Option<&str>>, StageError> {
    match strings.data_type() {
        DataType::Utf8 => Ok(strings.as_string::<i32>().iter().collect()),
        DataType::LargeUtf8 => Ok(strings.as_string::<i64>().iter().collect()),
        DataType::Utf8View => Ok(strings.as_string_view().iter().collect()),
        found => Err(StageError::NotStrings { found: found.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray, StringViewArray};

    use super::*;
    use crate::pair::PairCounts;

    const STAGES: [Option<&str>; 7] = [
        Some("ingress"),
        Some("decoded"),
        Some("ingress"),
        None,
        Some("encoded"),
        Some("decoded"),
        Some("encoded"),
    ];

    fn counts(stage: ArrayRef) -> Vec<PairCounts> {
        let pairs = [("ingress", "decoded"), ("decoded", "encoded"), ("ingress", "seen")];
        let mut pairs = StagePairs::<()>::new(pairs, PairOptions::default()).unwrap();
        let events = Events {
            ts_ns: &[0, 1, 2, 3, 4, 5, 6],
            id: &[1, 1, 2, 2, 1, 2, 3],
            id_nulls: None,
            group: None,
        };
        pairs.push_columns(&events, &stage, |_| ()).unwrap();
        pairs.finish();
        pairs.pairs().iter().map(|pair| pair.pairer.counts()).collect()
    }

    #[test]
    fn one_pass_serves_several_pairs_whatever_the_column_of_stages() {
        let count = |paired, dropped, orphans| PairCounts {
            paired,
            dropped,
            orphans,
            ..PairCounts::default()
        };
        let expected = [count(2, 0, 0), count(1, 1, 1), count(0, 2, 0)];
        let columns: [ArrayRef; 4] = [
            Arc::new(DictionaryArray::<Int8Type>::from_iter(STAGES)),
            Arc::new(DictionaryArray::<UInt32Type>::from_iter(STAGES)),
            Arc::new(StringArray::from_iter(STAGES)),
            Arc::new(StringViewArray::from_iter(STAGES)),
        ];
        for column in columns {
            assert_eq!(counts(column), expected);
        }
    }

    #[test]
    fn what_cannot_be_paired_is_refused() {
        let same = StagePairs::<()>::new([("a", "a")], PairOptions::default()).err();
        assert_eq!(same, Some(StageError::Same { stage: "a".into() }));
        let mut pairs = StagePairs::<()>::new([("a", "b")], PairOptions::default()).unwrap();
        let events = Events { ts_ns: &[0], id: &[1], id_nulls: None, group: None };
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let refused = pairs.push_columns(&events, &numbers, |_| ());
        assert_eq!(refused, Err(StageError::NotStrings { found: DataType::Int64 }));
    }
}
