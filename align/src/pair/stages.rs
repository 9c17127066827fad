//! Several pairs of stages, in one pass over the events of all stages.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, downcast_dictionary_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use super::{PairOptions, Pipelines, Side, StageEvents};

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

/// One pair of stages.
pub struct StagePair<P = ()> {
    /// The stage where a frame begins.
    pub stage_a: String,
    /// The stage where it ends.
    pub stage_b: String,
    /// Pairs the events of both.
    pub pipelines: Pipelines<P>,
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
                false => Ok(StagePair { stage_a, stage_b, pipelines: Pipelines::new(options) }),
            }
        };
        Ok(Self { pairs: pairs.into_iter().map(pair).collect::<Result<_, _>>()? })
    }

    /// Takes the events of all stages, with the column that names the stage of each.
    ///
    /// # Errors
    /// When `stage` does not hold strings.
    ///
    /// # Panics
    /// When the columns differ in length.
    pub fn push_columns(
        &mut self,
        events: &StageEvents<'_>,
        stage: &ArrayRef,
        carry: impl Fn(usize) -> P,
    ) -> Result<(), StageError> {
        for pair in &mut self.pairs {
            let sides = sides(stage, &pair.stage_a, &pair.stage_b)?;
            pair.pipelines.push_columns(events, |row| sides[row], &carry);
        }
        Ok(())
    }

    /// [`Pipelines::advance`] of every pair.
    pub fn advance(&mut self, watermark_ns: i64) {
        self.pairs.iter_mut().for_each(|pair| pair.pipelines.advance(watermark_ns));
    }

    /// [`Pipelines::finish`] of every pair.
    pub fn finish(&mut self) {
        self.pairs.iter_mut().for_each(|pair| pair.pipelines.finish());
    }

    /// The pairs in the order given, to take their rows from.
    pub fn pairs(&mut self) -> &mut [StagePair<P>] {
        &mut self.pairs
    }
}

/// Which end of the pair each event is, by a column of strings or a dictionary of them. A null
/// stage is neither.
///
/// # Errors
/// When `stage` does not hold strings.
pub fn sides(
    stage: &ArrayRef,
    stage_a: &str,
    stage_b: &str,
) -> Result<Vec<Option<Side>>, StageError> {
    let side = |name: Option<&str>| match name {
        Some(name) if name == stage_a => Some(Side::A),
        Some(name) if name == stage_b => Some(Side::B),
        _ => None,
    };
    let Some(dictionary) = stage.as_any_dictionary_opt() else {
        return Ok(names(stage)?.into_iter().map(side).collect());
    };
    // The names of a dictionary are compared once a batch, not once a row.
    let table: Vec<_> = names(dictionary.values())?.into_iter().map(side).collect();
    Ok(downcast_dictionary_array!(
        stage => match stage.keys().nulls() {
            None => stage.keys().values().iter().map(|key| table[key.as_usize()]).collect(),
            Some(_) => {
                stage.keys().iter().map(|key| key.and_then(|key| table[key.as_usize()])).collect()
            }
        },
        other => return Err(StageError::NotStrings { found: other.clone() })
    ))
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

    use arrow_array::types::{Int8Type, UInt32Type};
    use arrow_array::{DictionaryArray, Int64Array, StringArray, StringViewArray};

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
        let events = StageEvents {
            ts_ns: &[0, 1, 2, 3, 4, 5, 6],
            keys: &[(&[1, 1, 2, 2, 1, 2, 3], None)],
            pipeline: None,
        };
        pairs.push_columns(&events, &stage, |_| ()).unwrap();
        pairs.finish();
        pairs.pairs().iter().map(|pair| pair.pipelines.counts()).collect()
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
        let events = StageEvents { ts_ns: &[0], keys: &[], pipeline: None };
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let refused = pairs.push_columns(&events, &numbers, |_| ());
        assert_eq!(refused, Err(StageError::NotStrings { found: DataType::Int64 }));
    }
}
