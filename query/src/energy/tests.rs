use std::sync::Arc;

use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method};
use datafusion::arrow::array::{AsArray, Float64Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::datasource::MemTable;
use proptest::prelude::*;

use crate::testing::{error, plan, rows, session};
use crate::{Query, Settings};

#[tokio::test]
async fn by_keys_power_is_that_of_the_same_key() {
    let query = session(&[
        "CREATE TABLE power AS SELECT * FROM (VALUES (0, 'x', 1.0), (0, 'y', 100.0), (1000000000, 'x', 1.0), \
            (1000000000, 'y', 100.0), (2000000000, 'y', 100.0), (2000000000, NULL, 5.0)) AS t(ts, board, w)",
        "CREATE TABLE spans AS SELECT * FROM (VALUES (1, 'x', 0, 1000000000), (2, 'y', 500000000, 2000000000), \
            (3, 'x', 500000000, 2000000000), (4, NULL, 0, 1000000000), (5, 'z', 0, 1000000000)) AS t(id, board, a, b)",
    ])
    .await;
    let energy = |by: &str| {
        format!(
            "SELECT id, energy_j FROM energy(relation => spans, \"from\" => a, \"to\" => b, power => power, \
             power_w => w, tolerance_ms => 1000 {by}) ORDER BY id"
        )
    };
    let found = rows(&query, &energy(", by => board")).await;
    assert_eq!(found, ["1 1.0", "2 150.0", "3", "4", "5"]);
    let refused = error(&query, &energy(", by => id")).await;
    assert!(refused.contains("id is no column of the power samples"), "{refused}");
    let shown = plan(&query, &energy(", by => board")).await;
    assert!(shown.contains("board@1 = board@1"), "{shown}");
}

/// Rows of (ts, key, number).
fn table(rows: &[(i64, i64, i64)]) -> RecordBatch {
    let of = |f: fn(&(i64, i64, i64)) -> i64| Int64Array::from_iter_values(rows.iter().map(f));
    let watts = Float64Array::from_iter_values(rows.iter().map(|row| row.2 as f64));
    RecordBatch::try_from_iter([
        ("ts", Arc::new(of(|row| row.0)) as _),
        ("k", Arc::new(of(|row| row.1)) as _),
        ("n", Arc::new(of(|row| row.2)) as _),
        ("w", Arc::new(watts) as _),
    ])
    .unwrap()
}

fn some_rows() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    prop::collection::vec((0i64..60, 0i64..3, 0i64..20), 0..60).prop_map(|mut rows| {
        rows.sort();
        // One sample a key and instant: which of two counts is open.
        rows.dedup_by_key(|row| (row.0, row.1));
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Energy by key is that of an index a key.
    #[test]
    fn by_key_is_a_series_a_key(
        spans in some_rows(), power in some_rows(), piece in 1usize..20, tolerance in 1i64..30,
        is_held in any::<bool>(), bridges in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let settings = Settings { batch_rows: std::num::NonZero::new(7), ..Settings::default() };
            let query = Query::new(&settings).unwrap();
            for (name, all) in [("spans", &spans), ("power", &power)] {
                let pieces = all.chunks(piece).map(table).collect();
                let table = MemTable::try_new(table(&[]).schema(), vec![pieces]).unwrap();
                query.context().register_table(name, Arc::new(table)).unwrap();
            }
            let sql = format!(
                "SELECT ts, k, n, energy_j FROM energy(relation => (SELECT ts, k, n, ts + n AS till FROM spans), \
                 \"from\" => ts, \"to\" => till, power => power, power_w => w, by => k, tolerance_ms => {}, \
                 method => '{}', gaps => '{}')",
                tolerance as f64 / 1e6,
                if is_held { "hold" } else { "trapezoid" },
                if bridges { "bridge" } else { "null" },
            );
            query.sql(&sql).await.unwrap().collect().await.unwrap()
        });
        let options = EnergyOptions {
            method: if is_held { Method::Hold } else { Method::Trapezoid },
            gaps: if bridges { Gaps::Bridge } else { Gaps::Null },
            tolerance_ns: tolerance,
        };
        let mut rows = 0;
        for batch in found {
            for row in 0..batch.num_rows() {
                let of = |name: &str| batch[name].as_primitive::<Int64Type>().value(row);
                let mut index = EnergyIndex::new(options);
                for sample in power.iter().filter(|sample| sample.1 == of("k")) {
                    index.push(sample.0, sample.2 as f64).unwrap();
                }
                let expected = index.energy_j(of("ts"), of("ts") + of("n"));
                let energies = batch["energy_j"].as_primitive::<Float64Type>();
                let found = energies.iter().nth(row).unwrap();
                match (found, expected) {
                    (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-15),
                    (found, expected) => prop_assert_eq!(found, expected),
                }
                rows += 1;
            }
        }
        prop_assert_eq!(rows, spans.len());
    }
}
