//! A session for tests, and its answers as text.

use std::path::Path;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_plan::displayable;

use crate::{Query, QueryError, Settings};

/// A session in which these statements were run.
pub(crate) async fn session(setup: &[&str]) -> Query {
    let query = Query::new(&Settings::default()).unwrap();
    for sql in setup {
        query.sql(sql).await.unwrap().collect().await.unwrap();
    }
    query
}

/// The rows of a query as a table without its rules.
pub(crate) async fn rows(query: &Query, sql: &str) -> Vec<String> {
    let batches = query.sql(sql).await.unwrap().collect().await.unwrap();
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let lines = text.lines().filter(|line| !line.starts_with('+'));
    let cells = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        cells.join(" ").trim_end().to_owned()
    };
    lines.skip(1).map(cells).collect()
}

/// What a query that fails says, with its causes.
pub(crate) async fn error(query: &Query, sql: &str) -> String {
    let failed = match query.sql(sql).await {
        Ok(frame) => frame.collect().await.map_err(QueryError::run).map(|_| ()),
        Err(error) => Err(error),
    };
    match failed.unwrap_err() {
        QueryError::Parse(e) | QueryError::Plan(e) | QueryError::Run(e) => {
            DataFusionError::strip_backtrace(&e)
        }
        other => other.to_string(),
    }
}

/// The physical plan, one operator a line.
pub(crate) async fn plan(query: &Query, sql: &str) -> String {
    let plan = query.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

/// Writes the rows of a query into a Parquet file, in the order in which they come.
pub(crate) async fn write_parquet(query: &Query, sql: &str, path: &Path) {
    let frame = query.sql(sql).await.unwrap();
    let schema = frame.schema().inner().clone();
    let batches = frame.collect().await.unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), schema, None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}
