//! Table `latency` reads what is asked, and nothing when it is only planned.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

mod recording;

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bl_query::latency::{LatencyOptions, Method};
use bl_query::tables::SessionFilter;
use bl_query::{DataFusionError, Query, Settings};
use bl_store::Store;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use futures::StreamExt;
use recording::{FRAMES, MS, START_NS};

fn query(store: &Store, pairs: &[(&str, &str)]) -> Query {
    let query = Query::new(&Settings::default()).unwrap();
    let pairs = pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
    let options = LatencyOptions { pairs, method: Method::default() };
    query.register_store_with(store.clone(), SessionFilter::All, options).unwrap();
    query
}

async fn ask(query: &Query, sql: &str) -> Result<RecordBatch, DataFusionError> {
    let frame = query.sql(sql).await.unwrap();
    let schema = frame.schema().inner().clone();
    Ok(concat_batches(&schema, &frame.collect().await?)?)
}

async fn plan(query: &Query, sql: &str) -> Arc<dyn ExecutionPlan> {
    query.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(false).to_string()
}

const PAIR: &[(&str, &str)] = &[("ingress", "encoded")];

/// Files of a raw table, oldest first.
fn raw_files(store: &Store, session: &str, table: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false if path.extension().is_some_and(|e| e == "parquet") => found.push(path),
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&store.dir(&session.parse().unwrap()).raw(table), &mut found);
    found.sort_by_key(|path| path.file_name().map(|name| name.to_owned()));
    found
}

/// Makes the rows of a file unreadable; its footer stays.
fn spoil_pages(path: &Path) {
    let mut file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let bytes = std::fs::read(path).unwrap();
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap());
    file.seek(SeekFrom::Start(4)).unwrap();
    file.write_all(&vec![0xFF; (length - 12 - u64::from(footer)) as usize]).unwrap();
}

/// Two files of 2,000 frames each, one after the other.
fn record_two_files(store: &Store, name: &str) -> Vec<PathBuf> {
    for frames in [0..2000, 2000..4000] {
        let writer = recording::begin(store, name);
        recording::events(&writer, START_NS, frames);
        writer.finish().unwrap();
    }
    let files = raw_files(store, name, "pipeline");
    assert_eq!(files.len(), 2);
    files
}

#[tokio::test]
async fn planning_and_filters_that_nothing_passes_read_no_raw_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    for table in ["pipeline", "benchlab"] {
        for file in raw_files(&store, "known", table) {
            std::fs::write(file, "no parquet").unwrap();
        }
    }
    let query = query(&store, PAIR);
    ask(&query, "EXPLAIN SELECT * FROM latency ORDER BY ts").await.unwrap();
    for impossible in [
        "session = 'other'",
        "node = 'other' AND stage_a = 'ingress'",
        "stage_b = 'shown'",
        "ts >= '2025-11-11T15:00:00Z' AND ts < '2025-11-11T14:00:00Z'",
    ] {
        let sql = format!("SELECT * FROM latency WHERE {impossible}");
        assert_eq!(ask(&query, &sql).await.unwrap().num_rows(), 0, "{impossible}");
    }
    assert!(ask(&query, "SELECT * FROM latency").await.is_err(), "the rows are unreadable");
}

#[tokio::test]
async fn a_limit_and_an_end_in_time_leave_later_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let files = record_two_files(&store, "long");
    spoil_pages(&files[1]);
    let query = query(&store, PAIR);
    let first = ask(&query, "SELECT frame, latency_ms FROM latency LIMIT 3").await.unwrap();
    let frames = first["frame"].as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(frames, [0, 1, 2]);
    let end =
        "SELECT frame FROM latency WHERE ts < TIMESTAMP '2025-11-11T14:30:10Z' ORDER BY frame";
    assert_eq!(ask(&query, end).await.unwrap().num_rows(), 500);
    let all = ask(&query, "SELECT frame FROM latency").await.unwrap_err().to_string();
    assert!(all.contains("long"), "{all}");
}

#[tokio::test]
async fn power_is_read_only_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    raw_files(&store, "known", "benchlab").iter().for_each(|file| spoil_pages(file));
    let query = query(&store, PAIR);
    let rows = ask(&query, "SELECT ts, frame, latency_ms, dropped, source FROM latency").await;
    assert_eq!(rows.unwrap().num_rows() as i64, FRAMES);
    let count = ask(&query, "SELECT count(*) FROM latency").await.unwrap();
    assert_eq!(count.column(0).as_primitive::<Int64Type>().value(0), FRAMES);
    for column in ["power_w", "cpu_w", "gpu_w", "power_age_ms", "power_err_ns", "energy_j"] {
        let sql = format!("SELECT max({column}) FROM latency");
        assert!(ask(&query, &sql).await.is_err(), "{column}");
    }
    assert!(ask(&query, "SELECT count(*) FROM latency WHERE power_w > 1").await.is_err());
}

#[tokio::test]
async fn pairs_and_sessions_are_computed_side_by_side_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    for name in ["one", "two"] {
        recording::record(&store, name);
    }
    let query = query(&store, &[("ingress", "encoded"), ("decoded", "encoded")]);
    let sql = "SELECT ts, session, stage_a, frame FROM latency ORDER BY ts";
    let plan = shown(&plan(&query, sql).await);
    assert!(plan.contains("LatencyExec: pairs=4") && !plan.contains("SortExec"), "{plan}");
    let rows =
        ask(&query, "SELECT CAST(ts AS BIGINT) AS ts FROM latency ORDER BY ts").await.unwrap();
    assert_eq!(rows.num_rows() as i64, 4 * FRAMES);
    assert!(rows["ts"].as_primitive::<Int64Type>().values().is_sorted());
}

#[tokio::test]
async fn more_sessions_than_partitions_are_all_there_and_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    for number in 0..20 {
        let writer = recording::begin(&store, &format!("s{number:02}"));
        // The later the name, the earlier the frames.
        recording::events(&writer, START_NS - number * 1000 * MS, 0..100);
        writer.finish().unwrap();
    }
    let query = query(&store, PAIR);
    let sql = "SELECT CAST(ts AS BIGINT) AS ts FROM latency ORDER BY ts";
    let rows = ask(&query, sql).await.unwrap();
    assert_eq!(rows.num_rows(), 2000);
    assert!(rows["ts"].as_primitive::<Int64Type>().values().is_sorted());
    let counts = ask(&query, "SELECT session, count(*) FROM latency GROUP BY 1").await.unwrap();
    assert_eq!(counts.num_rows(), 20);
}

/// Every span of time has the frames that a filter over all rows lets through.
#[tokio::test]
async fn a_span_of_time_has_the_rows_of_that_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    let query = query(&store, PAIR);
    let all = query.sql("SELECT * FROM latency").await.unwrap();
    let schema = all.schema().inner().clone();
    let all = MemTable::try_new(schema, vec![all.collect().await.unwrap()]).unwrap();
    query.context().register_table("everything", Arc::new(all)).unwrap();
    let at = |ms: i64| format!("to_timestamp_nanos({})", START_NS + ms * MS);
    for (from, to) in [(0, 20_000), (-500, 0), (7, 8), (20, 20), (5_001, 13_499), (19_980, 30_000)]
    {
        for range in [
            format!("ts BETWEEN {} AND {}", at(from), at(to)),
            format!("ts > {} AND ts < {}", at(from), at(to)),
            format!("{} <= ts AND {} > ts AND dropped", at(from), at(to)),
            format!("ts = {}", at(to)),
        ] {
            let columns = "ts, frame, latency_ms, power_w, energy_j";
            let of =
                |table: &str| format!("SELECT {columns} FROM {table} WHERE {range} ORDER BY ts");
            let found = ask(&query, &of("latency")).await.unwrap();
            assert_eq!(found, ask(&query, &of("everything")).await.unwrap(), "{range}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_ends_the_computation() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let writer = recording::begin(&store, "long");
    recording::events(&writer, START_NS, 0..100_000);
    writer.finish().unwrap();
    let query = query(&store, PAIR);
    let plan = plan(&query, "SELECT frame FROM latency").await;
    let task = query.context().task_ctx();
    let mut stream = execute_stream(Arc::clone(&plan), task).unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert!(first.num_rows() > 0);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(500)).await;
    fn rows(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let own = match plan.name() {
            "LatencyExec" => plan.metrics().and_then(|m| m.output_rows()).unwrap_or_default(),
            _ => 0,
        };
        own + plan.children().into_iter().map(rows).sum::<usize>()
    }
    let sent = rows(&plan);
    assert!((1..50_000).contains(&sent), "{sent} rows were made for one batch");
}
