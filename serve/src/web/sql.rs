//! `/api/query`: SQL that only reads, within limits. Off unless it is asked for.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bl_query::tables::SessionFilter;
use bl_query::{Answer, Query, QueryError, Settings};

use super::app::App;
use super::params::Params;
use super::problem::{Problem, json_answer};

/// Rows of an answer.
const ROWS: usize = 10_000;
/// Time that a query may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Memory that it may take.
const MEMORY_BYTES: usize = 256 << 20;
/// Length of a statement.
const LENGTH: usize = 20_000;

pub(super) async fn query(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    if !app.allows_query {
        return Err(Problem::missing("queries are off: start bl serve with --allow-query"));
    }
    let sql = params.text("sql").ok_or_else(|| Problem::wrong("give the statement as ?sql="))?;
    if sql.len() > LENGTH {
        return Err(Problem::wrong(format!("a statement has at most {LENGTH} bytes")));
    }
    let rows = params.number("limit", 1, ROWS)?.unwrap_or(ROWS);
    let _permit = app.permit().await?;
    let running = run(&app, sql, params.text("session"), rows);
    match tokio::time::timeout(PATIENCE, running).await {
        Ok(answer) => Ok(json_answer(answer?)),
        Err(_) => {
            Err(Problem::wrong(format!("the query takes more than {PATIENCE:?}: ask for less")))
        }
    }
}

async fn run(app: &App, sql: &str, session: Option<&str>, rows: usize) -> Result<String, Problem> {
    let settings = Settings {
        memory_bytes: Some(MEMORY_BYTES),
        runtime: Some(app.runtime.clone()),
        ..Settings::default()
    };
    let query = Query::new(&settings).map_err(Problem::fault)?;
    let filter = match session {
        None => SessionFilter::All,
        Some(id) => {
            SessionFilter::Named(vec![id.parse().map_err(|e| Problem::wrong(format!("{e}")))?])
        }
    };
    let wrong = |e: QueryError| Problem::wrong(e.to_string());
    query.register_store(app.feed.options().store.clone(), filter).map_err(wrong)?;
    let mut statements = query.statements(sql).map_err(wrong)?;
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(Problem::wrong("one statement is expected"));
    };
    let begins = statement.to_string().trim_start_matches(['(', ' ']).to_uppercase();
    let reads = ["SELECT", "WITH", "VALUES", "SHOW", "DESCRIBE", "EXPLAIN"];
    if !reads.iter().any(|word| begins.starts_with(word)) {
        let text = "only SELECT, SHOW, DESCRIBE and EXPLAIN are answered";
        return Err(Problem::wrong(text));
    }
    let answer = query.answer(statement).await.map_err(wrong)?;
    if !answer.only_reads() {
        return Err(Problem::wrong("the statement does more than read: that is refused here"));
    }
    write(answer, rows).await
}

/// `{"columns":[..],"rows":[{..}],"truncated":false}`.
async fn write(answer: Answer, limit: usize) -> Result<String, Problem> {
    let schema = answer.schema();
    let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let columns = serde_json::to_string(&columns).map_err(Problem::fault)?;
    let run = |e: QueryError| Problem::wrong(e.to_string());
    let mut batches = answer.stream().await.map_err(run)?;
    let (mut left, mut truncated) = (limit, false);
    let mut writer = arrow::json::writer::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(Vec::new());
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(run)?;
        truncated |= batch.num_rows() > left;
        let batch = batch.slice(0, left.min(batch.num_rows()));
        left -= batch.num_rows();
        writer.write(&batch).map_err(Problem::fault)?;
        if truncated {
            break;
        }
    }
    writer.finish().map_err(Problem::fault)?;
    let rows = String::from_utf8(writer.into_inner()).map_err(Problem::fault)?;
    let rows = if rows.is_empty() { "[]" } else { &rows };
    Ok(format!("{{\"columns\":{columns},\"rows\":{rows},\"truncated\":{truncated}}}"))
}
