//! Rows of the store, column by column.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampNanosecondType};
use bl_query::{Batches, Query, QueryError};

use super::CxError;

/// Runs one statement.
pub(super) async fn ask(query: &Query, sql: &str) -> Result<Batches, CxError> {
    let mut statements = query.statements(sql)?;
    let statement = statements.pop().ok_or_else(|| broken("a statement is empty".into()))?;
    Ok(query.answer(statement).await?.stream().await?)
}

/// A text as a literal of SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column's name in SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The rows of a short answer whose columns are texts and counts: the first column.
pub(super) async fn names(query: &Query, sql: &str) -> Result<Vec<Option<String>>, CxError> {
    let mut batches = ask(query, sql).await?;
    let mut names = Vec::new();
    while let Some(batch) = batches.next().await {
        names.extend(texts(&batch?, 0)?.iter().map(|name| name.map(String::from)));
    }
    Ok(names)
}

/// Names for reading, as `a, b`.
pub(super) fn listed(names: &[Option<String>]) -> String {
    let each = names.iter().map(|name| match name.as_deref() {
        None | Some("") => "no name",
        Some(name) => name,
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The instants of a column without nulls.
pub(super) fn instants(batch: &RecordBatch, column: usize) -> Result<&[i64], CxError> {
    let array = batch.column(column);
    match array.as_primitive_opt::<TimestampNanosecondType>() {
        Some(array) if array.null_count() == 0 => Ok(array.values()),
        _ => Err(broken(format!("column {column} holds no instants but {}", array.data_type()))),
    }
}

/// A column as 64-bit floats.
pub(super) fn floats(batch: &RecordBatch, column: usize) -> Result<Float64Array, CxError> {
    Ok(converted(batch.column(column), &DataType::Float64)?.as_primitive().clone())
}

/// A column as 64-bit integers.
pub(super) fn integers(batch: &RecordBatch, column: usize) -> Result<Int64Array, CxError> {
    Ok(converted(batch.column(column), &DataType::Int64)?.as_primitive().clone())
}

/// A column as texts.
pub(super) fn texts(batch: &RecordBatch, column: usize) -> Result<StringArray, CxError> {
    Ok(converted(batch.column(column), &DataType::Utf8)?.as_string().clone())
}

pub(super) fn converted(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, CxError> {
    cast(array, to).map_err(|e| broken(e.to_string()))
}

/// The store answered with what its own tables do not hold.
pub(super) fn broken(what: String) -> CxError {
    CxError::Query(QueryError::run(bl_query::DataFusionError::Internal(what)))
}
