//! Columns that name the stages and the pipelines of events.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, downcast_dictionary_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use super::Side;

/// A pair of stages that cannot be looked for, or a column that does not hold stages.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StageError {
    /// Both ends are the same stage.
    #[error("stage {stage:?} cannot be paired with itself: name two stages")]
    Same {
        /// The stage.
        stage: String,
    },
    /// A column of names is no column of strings.
    #[error(
        "a column of stages or pipelines is of type {found}: give strings, or a dictionary of strings"
    )]
    NotStrings {
        /// Its type.
        found: DataType,
    },
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
    of_names(stage, |name| match name {
        Some(name) if name == stage_a => Some(Side::A),
        Some(name) if name == stage_b => Some(Side::B),
        _ => None,
    })
}

/// What `of` makes of the name in each row of a column of strings or a dictionary of them. Of a
/// dictionary it is asked once a name, also for names that no row has.
///
/// # Errors
/// When `column` does not hold strings.
pub(crate) fn of_names<T: Copy>(
    column: &ArrayRef,
    mut of: impl FnMut(Option<&str>) -> T,
) -> Result<Vec<T>, StageError> {
    let Some(dictionary) = column.as_any_dictionary_opt() else {
        return Ok(names(column)?.into_iter().map(of).collect());
    };
    // The names of a dictionary are compared once a batch, not once a row.
    let table: Vec<T> = names(dictionary.values())?.into_iter().map(&mut of).collect();
    let mut nameless = None;
    Ok(downcast_dictionary_array!(
        column => match column.keys().nulls() {
            None => column.keys().values().iter().map(|key| table[key.as_usize()]).collect(),
            Some(_) => {
                let keys = column.keys().iter();
                keys.map(|key| match key {
                    Some(key) => table[key.as_usize()],
                    None => *nameless.get_or_insert_with(|| of(None)),
                })
                .collect()
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

    const STAGES: [Option<&str>; 5] =
        [Some("ingress"), Some("decoded"), None, Some("encoded"), Some("decoded")];

    #[test]
    fn a_side_is_told_whatever_the_column_of_stages() {
        let columns: [ArrayRef; 4] = [
            Arc::new(DictionaryArray::<Int8Type>::from_iter(STAGES)),
            Arc::new(DictionaryArray::<UInt32Type>::from_iter(STAGES)),
            Arc::new(StringArray::from_iter(STAGES)),
            Arc::new(StringViewArray::from_iter(STAGES)),
        ];
        for column in columns {
            let of = |stage_b: &str| sides(&column, "ingress", stage_b).unwrap();
            assert_eq!(of("decoded"), [Some(Side::A), Some(Side::B), None, None, Some(Side::B)]);
            assert_eq!(of("seen"), [Some(Side::A), None, None, None, None]);
        }
    }

    #[test]
    fn what_are_no_names_is_refused() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let refused = sides(&numbers, "a", "b");
        assert_eq!(refused, Err(StageError::NotStrings { found: DataType::Int64 }));
    }
}
