//! Sessions are paired, matched and integrated side by side, with the rows that one after the other has.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

mod recording;

use std::num::NonZero;
use std::sync::Arc;

use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_store::Store;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, displayable};
use recording::{MS, START_NS};

async fn query(store: &Store, partitions: usize) -> Query {
    let partitions = NonZero::new(partitions);
    let query = Query::new(&Settings { partitions, ..Settings::default() }).unwrap();
    query.register_store(store.clone(), SessionFilter::All).unwrap();
    let small = "SET datafusion.optimizer.hash_join_single_partition_threshold_rows = 0";
    query.sql(small).await.unwrap().collect().await.unwrap();
    query
}

async fn text(query: &Query, sql: &str) -> String {
    let batches = query.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

/// Partitions of the operators of this name.
async fn partitions(query: &Query, sql: &str, name: &str) -> Vec<usize> {
    fn find(plan: &Arc<dyn ExecutionPlan>, name: &str, found: &mut Vec<usize>) {
        if plan.name() == name {
            found.push(plan.output_partitioning().partition_count());
        }
        plan.children().into_iter().for_each(|child| find(child, name, found));
    }
    let plan = query.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let mut found = Vec::new();
    find(&plan, name, &mut found);
    found
}

const PAIRS: &str =
    "SELECT session, ts, frame, latency_ns FROM pair('ingress', 'encoded') ORDER BY session, ts";
const MATCHES: &str = "SELECT e.session, e.ts, e.stage, p.sys_w FROM pipeline e ASOF JOIN benchlab p \
    MATCH_CONDITION (e.ts >= p.ts) ON e.session = p.session ORDER BY 1, 2, 3";
const ENERGY: &str = "SELECT session, ts, round(energy_j, 9) FROM energy(relation => (SELECT session, ts, \
    ts + INTERVAL '10 milliseconds' AS till FROM pipeline), \"from\" => ts, \"to\" => till, by => session, \
    power => benchlab) ORDER BY 1, 2";

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_worked_on_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let writer = recording::begin(&store, name);
        recording::write(&writer, START_NS + number as i64 * 60_000 * MS);
        writer.finish().unwrap();
    }
    let (two, one) = (query(&store, 2).await, query(&store, 1).await);
    for (sql, operator) in [(PAIRS, "PairExec"), (MATCHES, "AsOfJoinExec"), (ENERGY, "EnergyExec")]
    {
        assert_eq!(partitions(&two, sql, operator).await, [2], "{operator}");
        assert_eq!(partitions(&one, sql, operator).await, [1], "{operator}");
        let found = text(&two, sql).await;
        assert!(found.lines().count() > 4_000, "{operator}");
        assert_eq!(found, text(&one, sql).await, "{operator}");
    }
    // Without the session among the keys, all rows have to do with one another.
    let all = MATCHES.replace("ON e.session = p.session", "");
    assert_eq!(partitions(&two, &all, "AsOfJoinExec").await, [1]);
    // One session is in one partition, as long as its rows fit a batch.
    let of_one = PAIRS.replace("ORDER BY", "WHERE session = 'c' ORDER BY");
    assert_eq!(partitions(&two, &of_one, "PairExec").await, [1]);
    assert_eq!(text(&two, &of_one).await, text(&one, &of_one).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_at_one_time_are_worked_on_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    for name in ["a", "b", "c"] {
        recording::record(&store, name);
    }
    let (two, one) = (query(&store, 2).await, query(&store, 1).await);
    for sql in [PAIRS, MATCHES, ENERGY] {
        assert_eq!(text(&two, sql).await, text(&one, sql).await);
    }
}

/// 100 pipelines, an event of each in turn; every 777th event is lost.
const INTERLEAVED: [&str; 2] = [
    "CREATE TABLE events AS SELECT value * 1000 AS ts, CASE WHEN value % 200 < 100 THEN 'in' ELSE 'out' END AS stage, \
        concat('p', value % 100) AS pipeline, value / 200 AS frame FROM range(0, 40000) WHERE value % 777 <> 0",
    "CREATE TABLE watts AS SELECT value * 700 AS ts, concat('p', value % 90) AS pipeline, value % 13 AS sys_w \
        FROM range(0, 60000)",
];

#[tokio::test(flavor = "multi_thread")]
async fn interleaved_pipelines_are_worked_on_side_by_side() {
    let pairs = "SELECT ts, pipeline, frame, latency_ns, dropped, paired_by, confidence \
        FROM pair('in', 'out', relation => events) ORDER BY ts, pipeline, frame";
    let given = pairs.replace("events)", "events, key => frame)");
    let matches = "SELECT e.ts, e.pipeline, w.ts, w.sys_w FROM events e ASOF JOIN watts w \
        MATCH_CONDITION (e.ts >= w.ts) ON e.pipeline = w.pipeline ORDER BY 1, 2";
    let energy = "SELECT ts, pipeline, energy_j FROM energy(relation => (SELECT ts, ts + 90000 AS till, pipeline \
        FROM events), \"from\" => ts, \"to\" => till, by => pipeline, power => watts) ORDER BY 1, 2";
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let (two, one) = (query(&store, 2).await, query(&store, 1).await);
    for query in [&two, &one] {
        for sql in INTERLEAVED {
            query.sql(sql).await.unwrap().collect().await.unwrap();
        }
    }
    for (sql, operator, rows) in [
        (pairs, "PairExec", 19_974),
        (given.as_str(), "PairExec", 19_974),
        (matches, "AsOfJoinExec", 39_948),
        (energy, "EnergyExec", 39_948),
    ] {
        assert_eq!(partitions(&two, sql, operator).await, [2], "{operator}");
        assert_eq!(partitions(&one, sql, operator).await, [1], "{operator}");
        let found = text(&two, sql).await;
        assert_eq!(found.lines().count(), rows + 4, "{operator}");
        assert_eq!(found, text(&one, sql).await, "{operator}");
    }
    // Few rows are not worth it.
    let many = "SET datafusion.optimizer.hash_join_single_partition_threshold_rows = 1000000";
    two.sql(many).await.unwrap().collect().await.unwrap();
    assert_eq!(partitions(&two, pairs, "PairExec").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_order_stay_so_without_a_sort() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    let two = query(&store, 2).await;
    let small = "SET datafusion.execution.batch_size = 500";
    two.sql(small).await.unwrap().collect().await.unwrap();
    let sql = "SELECT ts, frame, latency_ns FROM pair('ingress', 'encoded') ORDER BY ts";
    let plan = two.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    assert!(shown.contains("SortPreservingMergeExec") && !shown.contains("SortExec"), "{shown}");
    assert_eq!(text(&two, sql).await, text(&query(&store, 1).await, sql).await);
}
