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
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
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
    // One session is in one partition.
    let of_one = PAIRS.replace("ORDER BY", "WHERE session = 'c' ORDER BY");
    assert_eq!(partitions(&two, &of_one, "PairExec").await, [1]);
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
