//! The meter's lag, applied where an ended session tells it: frames meet the power of what they did.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in what they call")]

mod recording;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type};
use bl_query::latency::{Lag, LatencyOptions, Method, align};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_store::clock::monotonic_ns;
use bl_store::{SessionSpec, SessionWriter, Store};
use recording::{MS, is_dropped, latency_ms, power_w};

fn options(lag: Lag) -> LatencyOptions {
    let method = Method { lag, ..Method::default() };
    LatencyOptions { pairs: vec![("ingress".into(), "encoded".into())], method }
}

fn frames(store: &Store, lag: Lag) -> RecordBatch {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let query = Query::new(&Settings::default()).unwrap();
        query.register_store_with(store.clone(), SessionFilter::All, options(lag)).unwrap();
        let sql = "SELECT frame, power_w, energy_j, lag_ms, lag_err_ms FROM latency ORDER BY frame";
        let batches = query.sql(sql).await.unwrap().collect().await.unwrap();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    })
}

/// System power is a line, so that what a frame met `lag` later is known in closed form.
fn assert_lagged(rows: &RecordBatch) {
    let of = |name: &str| rows[name].as_primitive::<Float64Type>();
    let lag_ms = of("lag_ms").value(0);
    assert!((lag_ms - 120.0).abs() <= of("lag_err_ms").value(0), "{lag_ms}");
    let mut known = 0;
    for (row, frame) in rows["frame"].as_primitive::<Int64Type>().values().iter().enumerate() {
        assert_eq!(of("lag_ms").value(row), lag_ms);
        let shown_ns = frame * 20 * MS + (lag_ms * 1e6) as i64;
        if of("power_w").is_valid(row) {
            let sample_ns = match shown_ns.div_euclid(20 * MS) * 20 * MS {
                gap if (12_000 * MS..13_500 * MS).contains(&gap) => 12_000 * MS,
                other => other.min(19_980 * MS),
            };
            assert!((of("power_w").value(row) - power_w(sample_ns)).abs() < 1e-6, "{frame}");
        }
        if is_dropped(*frame) || of("energy_j").is_null(row) {
            continue;
        }
        let took_ns = latency_ms(*frame) * MS;
        let mean_w = (power_w(shown_ns) + power_w(shown_ns + took_ns)) / 2.0;
        let energy_j = mean_w * took_ns as f64 / 1e9;
        assert!((of("energy_j").value(row) - energy_j).abs() < 1e-6, "{frame}");
        known += 1;
    }
    assert!(known > 880, "{known}");
}

#[test]
fn frames_meet_the_power_of_what_they_did_and_it_can_be_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    assert_lagged(&frames(&store, Lag::Apply));
    let plain = frames(&store, Lag::Ignore);
    assert_eq!(plain["lag_ms"].null_count(), plain.num_rows());
    assert_eq!(plain["power_w"].as_primitive::<Float64Type>().value(5), power_w(100 * MS));
    // What is aligned in one way is no answer to the other.
    let session = store.session(&"known".parse().unwrap()).unwrap();
    for lag in [Lag::Ignore, Lag::Apply, Lag::Ignore] {
        let computed = frames(&store, lag);
        align(&session, &options(lag)).unwrap();
        assert_eq!(frames(&store, lag), computed);
        assert!(align(&session, &options(lag)).unwrap().pairs.iter().all(|pair| pair.rows == 0));
    }
}

#[test]
fn a_session_that_goes_on_tells_no_lag_and_is_aligned_again_when_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let spec = SessionSpec {
        id: Some("live".parse().unwrap()),
        node: "lab".into(),
        ..SessionSpec::default()
    };
    let writer = SessionWriter::begin(&store, spec, recording::quick()).unwrap();
    let start_ns = writer.anchor().ts(monotonic_ns()) - 40_000 * MS;
    recording::write(&writer, start_ns);
    let session = || store.session(&"live".parse().unwrap()).unwrap();
    let live = align(&session(), &options(Lag::Apply)).unwrap();
    assert!(live.live && live.pairs[0].rows > 900);
    let rows = frames(&store, Lag::Apply);
    assert_eq!(rows["lag_ms"].null_count(), rows.num_rows());
    writer.finish().unwrap();
    assert_lagged(&frames(&store, Lag::Apply));
    align(&session(), &options(Lag::Apply)).unwrap();
    assert_lagged(&frames(&store, Lag::Apply));
}
