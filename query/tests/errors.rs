//! What a person reads when a statement is wrong: one sentence, once; and what a statement without rows did.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

mod recording;

use bl_query::tables::SessionFilter;
use bl_query::{Query, QueryError, Settings};
use bl_store::Store;

fn session(folder: &std::path::Path) -> Query {
    let store = Store::new(folder);
    recording::record(&store, "known");
    let query = Query::new(&Settings::default()).unwrap();
    query.register_store(store, SessionFilter::All).unwrap();
    query
}

async fn told(query: &Query, sql: &str) -> Result<Option<String>, QueryError> {
    let answer = query.answer(query.statements(sql)?.remove(0)).await?;
    let effect = answer.effect().map(str::to_owned);
    answer.drain().await?;
    Ok(effect)
}

#[tokio::test]
async fn an_error_is_one_sentence_and_says_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let query = session(folder.path());
    for (sql, expected) in [
        (
            "SELEC 1",
            "cannot parse the SQL: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1",
        ),
        ("SELECT 'a", "cannot parse the SQL: Unterminated string literal at Line: 1, Column: 8"),
        ("SELECT sys_v FROM benchlab", "there is no column 'sys_v': did you mean 'sys_w'?"),
        (
            "SELECT * FROM pair('ingress', 'encoded', ts => stage)",
            "cannot plan the query: stage is Dictionary(Int32, Utf8): a stamp is a TIMESTAMP, DATE, TIME or DURATION, or a \
             BIGINT of nanoseconds; name another column or cast it",
        ),
        (
            "DROP TABLE benchlab",
            "benchlab is a table of the store, which SQL only reads: it cannot be dropped",
        ),
        (
            "DROP TABLE IF EXISTS latency",
            "latency is a table of the store, which SQL only reads: it cannot be dropped",
        ),
        (
            "SELECT CAST('x' AS BIGINT)",
            "the query failed: Cast error: Cannot cast string 'x' to value of Int64 type",
        ),
    ] {
        let error = told(&query, sql).await.unwrap_err();
        assert_eq!(error.to_string(), expected, "{sql}");
        assert!(std::error::Error::source(&error).is_none(), "{sql}: it is said once");
    }
    for sql in [
        "SELECT avg(stage) FROM pipeline",
        "SELECT abs(stage) FROM pipeline",
        "SELECT stage * 2 FROM pipeline",
    ] {
        let found = told(&query, sql).await.unwrap_err().to_string();
        assert!(!found.contains('\n'), "{sql}: {found}");
    }
}

#[tokio::test]
async fn a_statement_without_rows_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let query = session(folder.path());
    for (sql, expected) in [
        (
            "SET datafusion.execution.batch_size = 100",
            Some("SET datafusion.execution.batch_size = 100: set for this run only"),
        ),
        ("CREATE TABLE t AS SELECT 1 AS one", Some("t is a table for this run only")),
        ("CREATE VIEW v AS SELECT 1 AS one", Some("v is a table for this run only")),
        ("SELECT one FROM t", None),
        ("EXPLAIN SELECT one FROM t", None),
        ("SHOW TABLES", None),
        ("DROP TABLE t", Some("t is gone for this run only; no file was touched")),
        ("RESET datafusion.execution.batch_size", Some("RESET: as it was, for this run only")),
    ] {
        assert_eq!(told(&query, sql).await.unwrap().as_deref(), expected, "{sql}");
    }
    assert!(told(&query, "SELECT one FROM t").await.is_err(), "it is gone");
    told(&query, "SELECT count(*) FROM benchlab").await.unwrap();
}
