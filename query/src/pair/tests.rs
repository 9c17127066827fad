use crate::tables::sql_schema;
use crate::testing::{error, plan, rows, session};

/// 300 frames of 16 ms; stage `out` follows after 5 ms and knows `key_ns` alone, stage `far` knows nothing of frames, and
/// nothing ever reaches stage `end`.
const EVENTS: &str = "CREATE TABLE e AS \
    SELECT value * 16000000 AS ts, 'in' AS stage, value AS frame, value * 7 AS key_ns FROM range(0, 300) \
    UNION ALL SELECT value * 16000000 + 5000000, 'out', NULL, value * 7 FROM range(0, 300) WHERE value <> 9 \
    UNION ALL SELECT value * 16000000 + value * 7919 % 4001 * 1000 + 6000000, 'far', NULL, NULL FROM range(0, 300)";

#[tokio::test]
async fn a_row_says_by_what_it_was_paired_and_how_sure_it_is() {
    let query = session(&[EVENTS]).await;
    let told = |call: &str| {
        format!(
            "SELECT paired_by, min(confidence), max(confidence), count(*) FROM {call} GROUP BY 1"
        )
    };
    let best = told("pair('in', 'out', relation => e)");
    assert_eq!(rows(&query, &best).await, ["key_ns 1.0 1.0 300"]);
    let given = told("pair('in', 'out', relation => e, key => key_ns)");
    assert_eq!(rows(&query, &given).await, ["key_ns 1.0 1.0 300"]);
    let none = told("pair('in', 'end', relation => e)");
    assert_eq!(rows(&query, &none).await, [" 1.0 1.0 300"], "paired_by is null");
    let named = told("pair('in', 'out', relation => e, key => arrow_cast(key_ns, 'Int32'))");
    let named = rows(&query, &named).await;
    assert!(named[0].contains("key_ns") && named[0].ends_with("1.0 1.0 300"), "{named:?}");
}

#[tokio::test]
async fn without_a_key_it_is_the_order_and_a_probability() {
    let query = session(&[EVENTS]).await;
    let sql = "SELECT DISTINCT paired_by FROM pair('in', 'far', relation => e)";
    assert_eq!(rows(&query, sql).await, ["order"]);
    // What nobody can tell is not as sure as what is told, and nothing is surer than certain.
    let sql = "SELECT count(*) FROM pair('in', 'far', relation => e) \
        WHERE confidence IS NULL OR confidence NOT BETWEEN 0 AND 1 \
           OR (latency_ns IS NOT NULL AND confidence < 0.99)";
    assert_eq!(rows(&query, sql).await, ["0"]);
}

#[tokio::test]
async fn latency_over_other_tables_says_it_too_in_the_types_of_the_table() {
    let query = session(&[
        EVENTS,
        "CREATE TABLE watts AS SELECT value * 10000000 AS ts, 5.0 AS sys_w FROM range(0, 500)",
    ])
    .await;
    let call = "latency('in', 'out', relation => e, power => watts)";
    let sql = format!("SELECT paired_by, confidence, count(*) FROM {call} GROUP BY 1, 2");
    assert_eq!(rows(&query, &sql).await, ["key_ns 1.0 300"]);
    let table = sql_schema(bl_schemas::table("latency").unwrap());
    for from in [call, "pair('in', 'out', relation => e)"] {
        let found = query.sql(&format!("SELECT * FROM {from}")).await.unwrap();
        for name in ["dropped", "paired_by", "confidence"] {
            let found = found.schema().field_with_unqualified_name(name).unwrap().data_type();
            assert_eq!(found, table.field_with_name(name).unwrap().data_type(), "{name} of {from}");
        }
    }
}

#[tokio::test]
async fn who_does_not_ask_does_not_pay() {
    let query = session(&[EVENTS]).await;
    let sql = "SELECT latency_ns FROM pair('in', 'out', relation => e)";
    let plan = plan(&query, sql).await;
    assert!(plan.contains("PairExec: in -> out, window_ns=2000000000, projection=[4]"), "{plan}");
}

#[tokio::test]
async fn a_column_of_the_name_is_refused() {
    let query = session(&[EVENTS]).await;
    let sql = "SELECT * FROM pair('in', 'out', relation => (SELECT *, 1 AS confidence FROM e))";
    let found = error(&query, sql).await;
    assert!(found.contains("confidence"), "{found}");
}
