//! With the rule and without it, the same rows; and what it is there for.

use std::sync::Arc;

use datafusion::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use proptest::prelude::*;

use crate::testing::rows;
use crate::{Query, Settings};

/// Rows of `(ts, key, value)`, of which keys and values may be null.
type Row = (i64, Option<u8>, Option<u8>);

fn batch(rows: &[Row]) -> RecordBatch {
    let text = |of: Option<u8>| of.map(|of| ["x", "y", "z"][usize::from(of % 3)]);
    RecordBatch::try_from_iter_with_nullable([
        ("ts", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))) as _, false),
        ("k", Arc::new(rows.iter().map(|r| text(r.1)).collect::<StringArray>()) as _, true),
        ("v", Arc::new(rows.iter().map(|r| r.2.map(i64::from)).collect::<Int64Array>()) as _, true),
        (
            "w",
            Arc::new(rows.iter().map(|r| r.2.map(f64::from)).collect::<Float64Array>()) as _,
            true,
        ),
        (
            "stage",
            Arc::new(
                rows.iter().map(|r| Some(["a", "b"][r.0 as usize % 2])).collect::<StringArray>(),
            ) as _,
            true,
        ),
        ("id", Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)) as _, false),
    ])
    .unwrap()
}

/// Two tables; stamps are instants in `a` and `b`, and numbers in `n` and `m`.
async fn tables(left: &[Row], right: &[Row]) -> Query {
    let query = Query::new(&Settings::default()).unwrap();
    for (name, instants, rows) in [("n", "a", left), ("m", "b", right)] {
        let batch = batch(rows);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        query.context().register_table(name, Arc::new(table)).unwrap();
        let sql = format!(
            "CREATE VIEW {instants} AS SELECT to_timestamp_nanos(ts) AS ts, k, v, w, stage, id FROM {name}"
        );
        query.sql(&sql).await.unwrap().collect().await.unwrap();
    }
    query
}

async fn sorted(query: &Query, sql: &str) -> Vec<String> {
    let batches = query.sql(sql).await.unwrap().collect().await.unwrap();
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    lines.sort();
    lines
}

const RULE: &str = "filters_through_kernels";

/// The optimized plan, one node a line.
async fn plan(query: &Query, sql: &str) -> String {
    let frame = query.sql(sql).await.unwrap();
    let (state, plan) = frame.into_parts();
    state.optimize(&plan).unwrap().display_indent().to_string()
}

/// What is below the line that begins with `node`.
fn below<'a>(plan: &'a str, node: &str) -> &'a str {
    let at = plan.find(node).unwrap_or_else(|| panic!("no {node} in\n{plan}"));
    plan[at..].split_once('\n').unwrap().1
}

fn some_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0i64..40,
        proptest::option::weighted(0.9, 0u8..3),
        proptest::option::weighted(0.8, 0u8..6),
    );
    prop::collection::vec(row, 0..40).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        rows.dedup_by_key(|row| (row.0, row.1));
        rows
    })
}

fn term(side: &'static str) -> impl Strategy<Value = String> {
    let number = 0i64..40;
    prop_oneof![
        prop::sample::select(vec!["x", "y", "q"]).prop_map(move |k| format!("{side}.k = '{k}'")),
        prop::sample::select(vec!["x", "y"]).prop_map(move |k| format!("{side}.k <> '{k}'")),
        Just(format!("{side}.k IS NULL")),
        Just(format!("{side}.k IS NOT NULL")),
        Just(format!("({side}.k = 'x' OR {side}.k IS NULL)")),
        Just(format!("coalesce({side}.k, 'x') = 'x'")),
        (0i64..6).prop_map(move |v| format!("{side}.v > {v}")),
        Just(format!("{side}.v IS NULL")),
        (number.clone(), prop::sample::select(vec!["<", "<=", ">", ">=", "="]))
            .prop_map(move |(ts, op)| format!("CAST({side}.ts AS BIGINT) {op} {ts}")),
        (number.clone(), prop::sample::select(vec!["<", "<=", ">", ">=", "="]))
            .prop_map(move |(ts, op)| format!("{side}.ts {op} STAMP({ts})")),
        (number.clone(), number)
            .prop_map(move |(a, b)| format!("{side}.ts BETWEEN STAMP({a}) AND STAMP({b})")),
    ]
}

fn condition(sides: [&'static str; 2]) -> impl Strategy<Value = String> {
    let one = prop_oneof![3 => term(sides[0]), 2 => term(sides[1]), 1 => Just(format!("{}.v = {}.v", sides[0], sides[1]))];
    prop::collection::vec(one, 1..4).prop_map(|terms| terms.join(" AND "))
}

/// The condition with its stamps as instants or as numbers.
fn stamps(condition: &str, are_instants: bool) -> String {
    condition.replace("STAMP", if are_instants { "to_timestamp_nanos" } else { "" })
}

/// Asks two sessions over the same tables, one of them without the rule.
async fn same((with, without): &(Query, Query), sql: &str) {
    assert_eq!(sorted(with, sql).await, sorted(without, sql).await, "{sql}");
}

async fn with_and_without(left: &[Row], right: &[Row]) -> (Query, Query) {
    let without = tables(left, right).await;
    assert!(without.context().remove_optimizer_rule(RULE));
    (tables(left, right).await, without)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn as_of_has_the_same_rows(
        left in some_rows(), right in some_rows(), condition in condition(["l", "r"]),
        operator in prop::sample::select(vec![">=", ">", "<=", "<"]),
        tolerance in proptest::option::of(0i64..10), by_key in any::<bool>(), are_instants in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let query = with_and_without(&left, &right).await;
            let (a, b) = if are_instants { ("a", "b") } else { ("n", "m") };
            let (later, earlier) = if operator.starts_with('>') { ("l", "r") } else { ("r", "l") };
            let within = tolerance.map_or(String::new(), |t| match are_instants {
                true => format!("AND {later}.ts - {earlier}.ts <= INTERVAL '{t} nanoseconds'"),
                false => format!("AND {later}.ts - {earlier}.ts <= {t}"),
            });
            let on = if by_key { "ON l.k = r.k" } else { "" };
            let sql = format!(
                "SELECT l.id, r.id FROM {a} AS l ASOF JOIN {b} AS r \
                 MATCH_CONDITION (l.ts {operator} r.ts {within}) {on} WHERE {}", stamps(&condition, are_instants)
            );
            same(&query, &sql).await;
        });
    }

    #[test]
    fn pairs_and_their_energy_are_the_same(
        left in some_rows(), right in some_rows(), condition in condition(["l", "l"]),
        key in any::<bool>(), are_instants in any::<bool>(), tolerance in 1i64..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let query = with_and_without(&left, &right).await;
            let (a, b) = if are_instants { ("a", "b") } else { ("n", "m") };
            let condition = stamps(&condition, are_instants);
            let by = if key { "key => v," } else { "" };
            let pair = format!("pair('a', 'b', relation => {a}, {by} group => k, window_ms => 0.00001)");
            same(&query, &format!("SELECT id, latency_ns FROM {pair} AS l WHERE {condition}")).await;
            same(&query, &format!("SELECT id FROM {pair} AS l WHERE {condition} AND NOT dropped")).await;
            let from = format!("(SELECT ts, {} AS upto, k, v, id FROM {a})",
                if are_instants { "to_timestamp_nanos(CAST(ts AS BIGINT) + v)" } else { "ts + v" });
            let energy = format!(
                "SELECT id, round(energy_j * 1e12) FROM energy(relation => {from}, \"from\" => ts, \"to\" => upto, power => {b}, \
                 power_w => w, tolerance_ms => {}) AS l WHERE {condition}", tolerance as f64 / 1e6
            );
            same(&query, &energy).await;
        });
    }
}

#[tokio::test]
async fn keys_and_times_go_to_both_sides_of_an_as_of_join() {
    let query = tables(&[(1, Some(0), None)], &[(1, Some(0), None)]).await;
    let join = "FROM n AS l ASOF JOIN m AS r MATCH_CONDITION (l.ts >= r.ts AND l.ts - r.ts <= 5) ON l.k = r.k";
    for filter in ["l.k = 'x'", "r.k = 'x'"] {
        let plan = plan(&query, &format!("SELECT l.id, r.id {join} WHERE {filter}")).await;
        let inputs = below(&plan, "AsOfJoin");
        assert_eq!(inputs.matches("k = Utf8(\"x\")").count(), 2, "{filter}:\n{plan}");
    }
    let plan =
        plan(&query, &format!("SELECT l.id, r.id {join} WHERE l.ts BETWEEN 10 AND 20")).await;
    let inputs = below(&plan, "AsOfJoin");
    for bound in ["ts >= Int64(10)", "ts <= Int64(20)", "ts >= Int64(5)"] {
        assert!(inputs.contains(bound), "{bound}:\n{plan}");
    }
    assert_eq!(rows(&query, &format!("SELECT l.id {join} WHERE r.k = 'x'")).await, ["0"]);
}

#[tokio::test]
async fn groups_go_below_a_pairing_and_what_follows_it() {
    let query = tables(&[(1, Some(0), None)], &[(1, Some(0), None)]).await;
    let sql = "SELECT latency_ns FROM pair('a', 'b', relation => n, key => v, group => k) WHERE k = 'x' AND v > 1";
    let shown = plan(&query, sql).await;
    let input = below(&shown, "PairStages");
    assert!(input.contains("k = Utf8(\"x\")") && !input.contains("v > "), "{shown}");
    let sql = "SELECT latency_ms FROM latency('a', 'b', relation => (SELECT ts, stage, v, k AS pipeline FROM a), \
        power => b, power_w => w, key => v, group => pipeline) WHERE pipeline = 'x'";
    let shown = plan(&query, sql).await;
    assert!(below(&shown, "PairStages").contains("k = Utf8(\"x\")"), "{shown}");
}

#[tokio::test]
async fn what_changes_from_row_to_row_or_is_about_results_stays() {
    let query = tables(&[(1, Some(0), None)], &[(1, Some(0), None)]).await;
    let join = "FROM n AS l ASOF JOIN m AS r MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k";
    for filter in ["random() < l.v", "r.v = 1", "l.v = r.v", "r.k IS NULL"] {
        let plan = plan(&query, &format!("SELECT l.id {join} WHERE {filter}")).await;
        assert!(
            plan.find("Filter").is_some_and(|at| at < plan.find("AsOfJoin").unwrap()),
            "{plan}"
        );
        assert!(!below(&plan, "AsOfJoin").contains("ilter"), "{filter}:\n{plan}");
    }
}
