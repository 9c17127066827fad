//! Every SQL that the documentation shows is run over a small session, so that it cannot rot.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

mod recording;

use std::path::{Path, PathBuf};

use bl_query::latency::{LatencyOptions, Method};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_store::Store;

/// All pages: those of `docs/`, and the READMEs at hand.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.extend(["README.md", "schemas/README.md", "web/README.md"].map(|page| root.join(page)));
    pages.sort();
    pages
}

/// Whether a text is a statement, by how it begins.
fn is_statement(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    match words.first() {
        Some(&"EXPLAIN") => words.len() > 2,
        Some(first) => {
            ["SELECT", "WITH", "SHOW", "DESCRIBE", "SET"].contains(first) && words.len() > 1
        }
        None => false,
    }
}

/// What a page shows: statements quoted in a line of code or between backticks, and blocks of code that begin with one.
fn statements(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in page.split("\n\n") {
        let lines: Vec<&str> = block.lines().collect();
        if lines.iter().all(|line| line.starts_with("    ")) {
            let code = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
            if is_statement(&code) {
                found.extend(
                    code.split(';').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned),
                );
            }
            // `bl query "SELECT …"`: every second part lies between quotes.
            found.extend(
                code.split('"').skip(1).step_by(2).filter(|s| is_statement(s)).map(str::to_owned),
            );
        } else {
            let spans = block.split('`').skip(1).step_by(2);
            found.extend(spans.filter(|s| is_statement(s) && !s.contains('…')).map(str::to_owned));
        }
    }
    found
}

/// How joins are written in the tables of a page: they parse as what is selected from.
fn relations(page: &str) -> Vec<String> {
    let spans = page.split('`').skip(1).step_by(2);
    spans
        .filter(|span| {
            span.contains("ASOF JOIN") && span.contains("MATCH_CONDITION") && !span.contains('…')
        })
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_statement_of_the_documentation_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    recording::record(&store, "known");
    let query = Query::new(&Settings::default()).unwrap();
    let pairs = vec![("ingress".into(), "encoded".into()), ("start".into(), "presented".into())];
    let latency = LatencyOptions { pairs, method: Method::default() };
    query.register_store_with(store, SessionFilter::All, latency).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for sql in statements(&page) {
            let parsed = query.statements(&sql).unwrap_or_else(|e| panic!("{name}: {e}\n{sql}"));
            for statement in parsed {
                let done = async { query.answer(statement).await?.drain().await };
                done.await.unwrap_or_else(|e| panic!("{name}: {e}\n{sql}"));
            }
            *counts.entry(name.clone()).or_insert(0) += 1;
        }
        for relation in relations(&page) {
            let sql = format!("SELECT * FROM {relation}");
            query.statements(&sql).unwrap_or_else(|e| panic!("{name}: {e}\n{relation}"));
            *counts.entry(name.clone()).or_insert(0) += 1;
        }
    }
    // The search finds what is there: a page whose SQL is written otherwise is to be found otherwise.
    for (name, least) in [("README.md", 5), ("jobs.md", 8), ("health.md", 1), ("import.md", 1)] {
        assert!(counts.get(name).is_some_and(|count| *count >= least), "{name}: {counts:?}");
    }
}

#[test]
fn statements_are_found_in_each_form() {
    let page = "Text `SELECT 1 AS a` and `SELECT … FROM b` and `DROP`.\n\n    bl query \"SELECT 2\"\n    bl query # none\n\n    \
        SELECT 3,\n      4\n    FROM t;\n    SELECT 5\n\n| `a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts)` | x |\n";
    let expected = ["SELECT 1 AS a", "SELECT 2", "SELECT 3,\n4\nFROM t", "SELECT 5"];
    assert_eq!(statements(page), expected);
    assert_eq!(relations(page), ["a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts)"]);
}
