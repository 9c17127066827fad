//! Table `latency`: computed on the spot, aligned at once, and aligned bit by bit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

mod recording;

use std::path::PathBuf;

use bl_query::latency::{Aligned, Lag, LatencyOptions, Method, align};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_store::clock::monotonic_ns;
use bl_store::{Rows, SessionSpec, SessionWriter, Store};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use proptest::prelude::*;
use recording::{FRAMES, MS, START_NS, is_dropped, latency_ms, power_w};

fn options(pairs: &[(&str, &str)]) -> LatencyOptions {
    LatencyOptions {
        pairs: pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
        // The small session's processor lags by construction; its system does not.
        method: Method { lag: Lag::Ignore, ..Method::default() },
    }
}

fn ask(store: &Store, options: &LatencyOptions, sql: &str) -> RecordBatch {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let query = Query::new(&Settings::default()).unwrap();
        let all = SessionFilter::All;
        query.register_store_with(store.clone(), all, options.clone()).unwrap();
        let frame = query.sql(sql).await.unwrap();
        let schema = frame.schema().inner().clone();
        concat_batches(&schema, &frame.collect().await.unwrap()).unwrap()
    })
}

const ALL: &str = "SELECT CAST(ts AS BIGINT) AS ts, session, node, source, pipeline, stage_a, stage_b, frame, \
    key_ns, latency_ms, dropped, paired_by, confidence, reason, power_w, cpu_w, gpu_w, power_age_ms, power_err_ns, \
    round(energy_j, 9) AS energy_j FROM latency ORDER BY session, stage_a, stage_b, ts, frame";

fn files(store: &Store, session: &str) -> Vec<PathBuf> {
    let folder = store.dir(&session.parse().unwrap()).aligned("latency");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "parquet"));
    files.sort();
    files
}

fn aligned(store: &Store, session: &str, options: &LatencyOptions) -> Aligned {
    align(&store.session(&session.parse().unwrap()).unwrap(), options).unwrap()
}

#[test]
fn every_frame_has_the_latency_power_and_energy_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    let sql = "SELECT CAST(ts AS BIGINT) AS ts, frame, latency_ms, dropped, power_w, energy_j, \
        power_age_ms, power_err_ns FROM latency ORDER BY ts";
    let rows = ask(&store, &options(&[("ingress", "encoded")]), sql);
    assert_eq!(rows.num_rows() as i64, FRAMES);
    let float = |name: &str, row: usize| {
        let column = rows[name].as_primitive::<Float64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    for frame in 0..FRAMES {
        let row = frame as usize;
        let at = frame * 20 * MS;
        assert_eq!(rows["ts"].as_primitive::<Int64Type>().value(row), START_NS + at);
        assert_eq!(rows["frame"].as_primitive::<Int64Type>().value(row), frame);
        let dropped = is_dropped(frame);
        assert_eq!(rows["dropped"].as_boolean().value(row), dropped);
        let took_ms = (!dropped).then(|| latency_ms(frame) as f64);
        assert_eq!(float("latency_ms", row), took_ms);
        let last = at.min(if at < 13_500 * MS { 12_000 * MS } else { i64::MAX });
        let age = Some((at - last) / MS).filter(|age| *age <= 200);
        assert_eq!(float("power_age_ms", row), age.map(|age| age as f64));
        match (float("power_w", row), age.map(|_| power_w(last))) {
            (Some(found), Some(power)) => assert!((found - power).abs() < 1e-9, "frame {frame}"),
            (found, power) => assert_eq!(found, power, "frame {frame}"),
        }
        assert_eq!(rows["power_err_ns"].is_valid(row), age.is_some());
        // Power is a line, so the energy is that of its mean; the last sample of all is at 19.98 s.
        let ends = at + latency_ms(frame) * MS;
        let known = !dropped && (ends <= 12_000 * MS || at >= 13_500 * MS) && ends <= 19_980 * MS;
        let mean_w = (power_w(at) + power_w(ends)) / 2.0;
        let energy = known.then(|| mean_w * latency_ms(frame) as f64 / 1e3);
        match (float("energy_j", row), energy) {
            (Some(found), Some(energy)) => assert!((found - energy).abs() < 1e-9, "frame {frame}"),
            (found, energy) => assert_eq!(found, energy, "frame {frame}"),
        }
    }
}

#[test]
fn a_frame_on_its_way_hides_none_that_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let spec = SessionSpec { id: Some("live".parse().unwrap()), ..SessionSpec::default() };
    let writer = SessionWriter::begin(&store, spec, recording::quick()).unwrap();
    let start_ns = writer.anchor().now();
    let mut rows = Rows::new(bl_schemas::table("pipeline").unwrap());
    for (stage, frame, ms) in [
        ("ingress", 1, 0),
        ("encoded", 1, 5),
        ("ingress", 2, 20),
        ("ingress", 3, 40),
        ("encoded", 3, 45),
    ] {
        rows.begin(start_ns + ms * MS, "socket");
        rows.str(rows.column("stage"), stage);
        rows.i64(rows.column("frame"), frame);
    }
    writer.append(bl_schemas::table("pipeline").unwrap(), rows.finish()).unwrap();
    writer.flush().unwrap();
    let pairs = options(&[("ingress", "encoded")]);
    let told = || {
        let rows = ask(&store, &pairs, "SELECT frame, dropped FROM latency ORDER BY ts");
        let frames = rows["frame"].as_primitive::<Int64Type>();
        let dropped = rows["dropped"].as_boolean();
        (0..rows.num_rows()).map(|row| (frames.value(row), dropped.value(row))).collect::<Vec<_>>()
    };
    assert_eq!(told(), [(1, false), (3, false)], "nothing tells yet what becomes of frame 2");
    writer.finish().unwrap();
    assert_eq!(told(), [(1, false), (2, true), (3, false)]);
}

#[test]
fn rows_that_come_late_are_aligned_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let spec = SessionSpec {
        id: Some("late".parse().unwrap()),
        node: "lab".into(),
        ..SessionSpec::default()
    };
    let writer = SessionWriter::begin(&store, spec, recording::quick()).unwrap();
    // 60 frames of a minute ago; the ends of the last 30 are still to come.
    let start_ns = writer.anchor().now() - 60_000 * MS;
    let event = |rows: &mut Rows, stage: &str, frame: i64, ts: i64| {
        rows.begin(ts, "socket");
        rows.str(rows.column("stage"), stage);
        rows.i64(rows.column("frame"), frame);
    };
    let table = bl_schemas::table("pipeline").unwrap();
    let mut rows = Rows::new(table);
    for frame in 0..60 {
        event(&mut rows, "ingress", frame, start_ns + frame * 20 * MS);
        if frame < 30 {
            event(&mut rows, "encoded", frame, start_ns + frame * 20 * MS + 7 * MS);
        }
    }
    writer.append(table, rows.finish()).unwrap();
    writer.flush().unwrap();
    let pairs = options(&[("ingress", "encoded")]);
    let live = aligned(&store, "late", &pairs);
    assert_eq!((live.live, live.pairs[0].rows, live.pairs[0].dropped), (true, 60, 30));
    assert_eq!(aligned(&store, "late", &pairs).pairs[0].rows, 0, "nothing new");
    let mut rows = Rows::new(table);
    for frame in 30..60 {
        event(&mut rows, "encoded", frame, start_ns + frame * 20 * MS + 7 * MS);
    }
    writer.append(table, rows.finish()).unwrap();
    writer.flush().unwrap();
    let count = "SELECT count(*), count(*) FILTER (WHERE dropped), \
        CAST(avg(latency_ms) AS BIGINT) FROM latency";
    let counted = |options: &LatencyOptions| {
        let row = ask(&store, options, count);
        [0, 1, 2].map(|at| row.column(at).as_primitive::<Int64Type>().value(0))
    };
    assert_eq!(counted(&options(&[])), [60, 0, 7], "a query sees them at once");
    writer.finish().unwrap();
    let again = aligned(&store, "late", &pairs);
    assert_eq!((again.pairs[0].rows, again.pairs[0].dropped), (60, 0));
    assert_eq!(counted(&options(&[])), [60, 0, 7]);
}

#[test]
fn aligned_rows_are_those_computed_and_are_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "one");
    recording::record(&store, "two");
    let pairs = options(&[("ingress", "encoded"), ("decoded", "encoded")]);
    let computed = ask(&store, &pairs, ALL);
    assert_eq!(computed.num_rows() as i64, 4 * FRAMES);
    let first = aligned(&store, "one", &pairs);
    assert!(!first.live);
    assert_eq!(
        first.pairs.iter().map(|p| (p.rows, p.dropped)).collect::<Vec<_>>(),
        [(1000, 11); 2]
    );
    assert_eq!(ask(&store, &pairs, ALL), computed, "one session aligned, one not");
    let written = files(&store, "one");
    assert_eq!(written.len(), 2);
    // Again: nothing new, and the files stay as they are.
    let again = aligned(&store, "one", &pairs);
    assert_eq!(again.pairs.iter().map(|p| p.rows).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(files(&store, "one"), written);
    // Another window: made anew, the old files go.
    let mut narrow = pairs.clone();
    narrow.method.window_ns = 14 * MS;
    let computed = ask(&store, &narrow, ALL);
    let made = aligned(&store, "one", &narrow);
    assert!(made.pairs[0].dropped > 500, "{made:?}");
    assert_eq!(ask(&store, &narrow, ALL), computed);
    let rewritten = files(&store, "one");
    assert!(rewritten.len() == 2 && rewritten.iter().all(|file| !written.contains(file)));
    // What was aligned is there without being asked for, and a file that nobody noted down is removed.
    let count = "SELECT count(*) FROM latency WHERE session = 'one' AND stage_a = 'decoded'";
    let found = ask(&store, &options(&[]), count);
    assert_eq!(found.column(0).as_primitive::<Int64Type>().value(0), 1000);
    let stray = rewritten[0].with_file_name("000099.parquet");
    std::fs::copy(&rewritten[0], &stray).unwrap();
    aligned(&store, "one", &narrow);
    assert!(!stray.exists());
}

#[test]
fn a_pair_that_is_asked_for_need_not_be_configured() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    let wanted = ask(&store, &options(&[("ingress", "encoded")]), ALL);
    for asked in [
        "latency WHERE stage_a = 'ingress' AND 'encoded' = stage_b",
        "latency('ingress', 'encoded')",
    ] {
        let sql = ALL.replace("FROM latency", &format!("FROM {asked}"));
        assert_eq!(ask(&store, &options(&[]), &sql), wanted, "{asked}");
    }
    let other = ask(&store, &options(&[]), "SELECT ts FROM latency('ingress', 'nowhere')");
    assert_eq!(other.num_rows(), 0);
}

#[test]
fn raw_rows_that_are_gone_take_nothing_of_what_is_aligned() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "old");
    let pairs = options(&[("ingress", "encoded")]);
    aligned(&store, "old", &pairs);
    let before = ask(&store, &pairs, ALL);
    std::fs::remove_dir_all(store.dir(&"old".parse().unwrap()).path().join("raw")).unwrap();
    let mut other = pairs.clone();
    other.method.window_ns = 1;
    aligned(&store, "old", &other);
    assert_eq!(ask(&store, &pairs, ALL), before);
}

#[test]
fn stages_that_never_came_and_empty_sessions_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "full");
    recording::begin(&store, "empty").finish().unwrap();
    let pairs = options(&[("ingress", "shown"), ("a", "b")]);
    let done = aligned(&store, "full", &pairs);
    assert_eq!((done.pairs[0].rows, done.pairs[0].dropped), (1000, 1000));
    assert_eq!(done.pairs[0].unseen, ["shown"]);
    assert_eq!(done.pairs[1].unseen, ["a", "b"]);
    let empty = aligned(&store, "empty", &pairs);
    assert_eq!(empty.pairs[0].unseen, ["ingress", "shown"]);
    assert_eq!(files(&store, "empty"), Vec::<PathBuf>::new());
    assert!(
        align(&store.session(&"full".parse().unwrap()).unwrap(), &options(&[("a", "a")])).is_err()
    );
}

#[test]
fn a_session_continued_after_it_was_aligned_is_aligned_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let pairs = options(&[("ingress", "encoded")]);
    let writer = recording::begin(&store, "import");
    recording::events(&writer, START_NS, 500..FRAMES);
    writer.finish().unwrap();
    drop(writer);
    assert_eq!(aligned(&store, "import", &pairs).pairs[0].rows, 500);
    let writer = recording::begin(&store, "import");
    recording::events(&writer, START_NS, 0..500);
    writer.flush().unwrap();
    let live = aligned(&store, "import", &pairs);
    assert!(live.live);
    writer.finish().unwrap();
    assert_eq!(aligned(&store, "import", &pairs).pairs[0].rows, 1000);
    let rows = ask(&store, &pairs, "SELECT count(*) FROM latency");
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), 1000);
}

/// One event: milliseconds after the one before, pipeline, stage, key.
type Step = (i64, u8, bool, i64);

/// How keys are told: as frame numbers, as running times, or not at all.
fn write_events(writer: &SessionWriter, start_ns: i64, keys: u8, steps: &[Step]) {
    let table = bl_schemas::table("pipeline").unwrap();
    let mut rows = Rows::new(table);
    let [pipeline, stage, frame, key] =
        ["pipeline", "stage", "frame", "key_ns"].map(|name| rows.column(name));
    let mut ts = start_ns;
    for (wait, of, is_a, number) in steps {
        ts += wait * MS;
        rows.begin(ts, "socket");
        rows.str(pipeline, ["left", "right"][usize::from(*of)]);
        rows.str(stage, if *is_a { "a" } else { "b" });
        match keys {
            0 => rows.i64(frame, *number),
            1 => rows.i64(key, *number),
            _ => {}
        }
    }
    writer.append(table, rows.finish()).unwrap();
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (prop_oneof![4 => 0..30_i64, 1 => 0..3000_i64], 0..2_u8, any::<bool>(), 0..6_i64);
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A session that is recorded now, aligned as it grows, has the rows of one that is aligned at its end, in the
    /// same order.
    #[test]
    fn bit_by_bit_is_as_at_once(steps in steps(), keys in 0..3_u8, cuts in proptest::collection::vec(1..110_usize, 2)) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut pairs = options(&[("a", "b")]);
        pairs.method.window_ns = 500 * MS;
        let spec = |name: &str| SessionSpec { id: Some(name.parse().unwrap()), node: "n".into(), ..SessionSpec::default() };
        let writer = SessionWriter::begin(&store, spec("live"), recording::quick()).unwrap();
        let span_ms: i64 = steps.iter().map(|s| s.0).sum();
        // The newest event is old enough to be settled.
        let start_ns = writer.anchor().ts(monotonic_ns()) - (span_ms + 16_000) * MS;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % steps.len()).collect();
        cuts.sort();
        cuts.push(steps.len());
        recording::power(&writer, start_ns, 0..(span_ms + 500) * MS);
        let mut done = 0;
        let mut from_ns = start_ns;
        for cut in cuts {
            write_events(&writer, from_ns, keys, &steps[done..cut]);
            from_ns += steps[done..cut].iter().map(|s| s.0).sum::<i64>() * MS;
            writer.flush().unwrap();
            done = cut;
            // What was written last may get company of the same instant.
            aligned_until_last(&store, &pairs);
        }
        writer.finish().unwrap();
        aligned(&store, "live", &pairs);
        let bit_by_bit = ask(&store, &pairs, ALL);
        std::fs::remove_dir_all(store.dir(&"live".parse().unwrap()).aligned("latency")).unwrap();
        let on_the_spot = ask(&store, &pairs, ALL);
        prop_assert_eq!(&bit_by_bit, &on_the_spot);
    }

    /// By frame numbers and by running times: the event of the same number within the window, by brute force.
    #[test]
    fn keyed_rows_are_those_of_the_naive_pairing(frames in frames(), keys in 0..2_u8) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let writer = recording::begin(&store, "keyed");
        let mut events: Vec<(i64, u8, bool, i64)> = Vec::new();
        let mut begins = 0;
        for (number, (wait, of, latency_ms, lost)) in frames.into_iter().enumerate() {
            begins += wait;
            events.extend((lost != 1).then_some((begins, of, true, number as i64)));
            events.extend((lost != 2).then_some((begins + latency_ms, of, false, number as i64)));
        }
        events.sort_by_key(|event| event.0);
        let mut before = 0;
        let steps: Vec<Step> = events
            .iter()
            .map(|event| (event.0 - std::mem::replace(&mut before, event.0), event.1, event.2, event.3))
            .collect();
        write_events(&writer, START_NS, keys, &steps);
        writer.finish().unwrap();
        let mut pairs = options(&[("a", "b")]);
        pairs.method.window_ns = 50 * MS;
        let found = ask(&store, &pairs, "SELECT CAST(ts AS BIGINT), CAST(pipeline AS VARCHAR), coalesce(frame, key_ns), latency_ms FROM latency ORDER BY 1, 2");
        let int = |column: usize, row: usize| found.column(column).as_primitive::<Int64Type>().value(row);
        let names = datafusion::arrow::compute::cast(found.column(1), &datafusion::arrow::datatypes::DataType::Utf8).unwrap();
        let found: Vec<_> = (0..found.num_rows()).map(|row| {
            let latency = found.column(3).as_primitive::<Float64Type>();
            let of = u8::from(names.as_string::<i32>().value(row) == "right");
            let latency = latency.is_valid(row).then(|| latency.value(row) as i64);
            ((int(0, row) - START_NS) / MS, of, int(2, row), latency)
        }).collect();
        let naive = events.iter().filter(|event| event.2).map(|(ts, of, _, number)| {
            let end = events.iter().find(|e| !e.2 && e.1 == *of && e.3 == *number);
            let latency = end.map(|end| end.0 - ts).filter(|latency| *latency <= 50);
            (*ts, *of, *number, latency)
        });
        let mut naive: Vec<_> = naive.collect();
        naive.sort();
        prop_assert_eq!(found, naive);
    }
}

/// Frames: how long after the one before, of which pipeline, how long it takes, which of its events is lost.
fn frames() -> impl Strategy<Value = Vec<(i64, u8, i64, u8)>> {
    let lost = prop_oneof![8 => Just(0_u8), 1 => Just(1), 1 => Just(2)];
    proptest::collection::vec((0..30_i64, 0..2_u8, 0..60_i64, lost), 1..120)
}

fn aligned_until_last(store: &Store, pairs: &LatencyOptions) {
    assert!(aligned(store, "live", pairs).live);
}
