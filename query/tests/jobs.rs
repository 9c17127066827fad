//! Each job over the small session, against its golden result beside it in `sql/` (written anew with
//! `BL_UPDATE=1`), and the main numbers against what plain arithmetic says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

mod recording;

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use bl_query::jobs::{FlowStep, JOBS, Job};
use bl_query::latency::{Lag, LatencyOptions, Method};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_store::Store;
use recording::several::{self, AHEAD_NS, SECOND_BOARD, SECOND_PIPELINE};
use recording::{FRAMES, MS, START_NS, UID, is_dropped, latency_ms, power_w};

fn run(store: &Store, job: &str, values: &[(&str, &str)]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let query = Query::new(&Settings::default()).unwrap();
        let pairs = vec![("ingress".into(), "encoded".into())];
        // The processor's power lags by construction; that of the system does not.
        let method = Method { lag: Lag::Ignore, ..Method::default() };
        let latency = LatencyOptions { pairs, method };
        query.register_store_with(store.clone(), SessionFilter::All, latency).unwrap();
        let step =
            |step: &str, latency_target_ms| FlowStep { step: step.into(), latency_target_ms };
        let flow = [step("capture", Some(18.9)), step("encode", Some(17.0)), step("show", None)];
        query.register_flow(&flow).unwrap();
        let values: BTreeMap<String, String> =
            values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let answer = query.job(Job::named(job).unwrap(), &values).await.unwrap();
        let mut rows = vec![RecordBatch::new_empty(answer.schema())];
        let mut batches = answer.stream().await.unwrap();
        while let Some(batch) = batches.next().await {
            rows.push(batch.unwrap());
        }
        csv(&rows)
    })
}

fn csv(batches: &[RecordBatch]) -> String {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_header(true).build(&mut text);
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    drop(writer);
    String::from_utf8(text).unwrap()
}

/// A line of a CSV by the names of its columns.
type Row = BTreeMap<String, String>;

/// The rows of a CSV; none of the values has a comma.
fn rows(csv: &str) -> Vec<Row> {
    let mut lines = csv.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    lines.map(|values| names.iter().cloned().zip(values).collect()).collect()
}

fn number(row: &BTreeMap<String, String>, name: &str) -> f64 {
    row[name].parse().unwrap_or_else(|_| panic!("{name} of {row:?}"))
}

fn assert_near(found: f64, expected: f64) {
    let near = (found - expected).abs() <= 1e-6 * expected.abs().max(1.0);
    assert!(near, "found {found}, expected {expected}");
}

/// Equal but for what rounding in another order of sums does.
fn same(found: &str, golden: &str) -> bool {
    let fields = |text: &str| text.split([',', '\n']).map(String::from).collect::<Vec<_>>();
    let (found, golden) = (fields(found), fields(golden));
    found.len() == golden.len()
        && found.iter().zip(&golden).all(|(found, golden)| {
            match (found.parse::<f64>(), golden.parse::<f64>()) {
                (Ok(found), Ok(golden)) => (found - golden).abs() <= 1e-9 * golden.abs().max(1.0),
                _ => found == golden,
            }
        })
}

#[test]
fn every_job_has_its_golden_result() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    for job in JOBS {
        let mut found = run(&store, job.name, &[]);
        if job.name == "latency" {
            // A line a frame: the drops, the gap and the ends are at these.
            found = lines_of(&found, &[0..6, 399..408, 598..602, 674..678, 996..1001]);
        }
        assert_golden(&format!("{}.expected.csv", job.name), &found);
    }
}

fn lines_of(text: &str, ranges: &[Range<usize>]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let near = ranges.iter().flat_map(|range| &lines[range.clone()]);
    near.map(|line| format!("{line}\n")).collect()
}

fn assert_golden(file: &str, found: &str) {
    assert!(!found.contains("NaN") && !found.contains("inf"), "{file}: {found}");
    let path = format!("{}/../sql/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BL_UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(same(found, &golden), "{file}: BL_UPDATE=1 writes it anew\n{found}");
}

#[test]
fn the_numbers_are_those_of_plain_arithmetic() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    let mut sorted: Vec<f64> =
        (0..FRAMES).filter(|f| !is_dropped(*f)).map(|f| latency_ms(f) as f64).collect();
    sorted.sort_by(f64::total_cmp);
    let percentile = |p: f64| {
        let rank = p * (sorted.len() - 1) as f64;
        let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        low + (high - low) * rank.fract()
    };
    let stats = rows(&run(&store, "stats", &[]));
    assert_eq!(stats.len(), 1);
    assert_near(number(&stats[0], "frames"), FRAMES as f64);
    assert_near(number(&stats[0], "dropped"), 11.0);
    assert_near(number(&stats[0], "mean_ms"), sorted.iter().sum::<f64>() / sorted.len() as f64);
    for (name, p) in [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99), ("p999_ms", 0.999)] {
        assert_near(number(&stats[0], name), percentile(p));
    }
    // As CapFrameX has them: the quantile of type 8, and all frames not below it.
    let border = |values: &[f64], p: f64| {
        let rank = (values.len() as f64 + 1.0 / 3.0) * p + 1.0 / 3.0;
        let below = (rank as usize).clamp(1, values.len() - 1);
        let share = (rank - below as f64).clamp(0.0, 1.0);
        values[below - 1] + share * (values[below] - values[below - 1])
    };
    let low_average = |share: f64| {
        let longest: Vec<f64> =
            sorted.iter().copied().filter(|ms| *ms >= border(&sorted, 1.0 - share)).collect();
        longest.iter().sum::<f64>() / longest.len() as f64
    };
    assert_near(number(&stats[0], "low_1_pct_ms"), low_average(0.01));
    assert_near(number(&stats[0], "low_01_pct_ms"), low_average(0.001));
    assert_near(number(&stats[0], "low_1_pct_average_fps"), 1000.0 / low_average(0.01));
    let total: f64 = sorted.iter().sum();
    let mut longest = 0.0;
    let integral = sorted.iter().rev().find(|ms| {
        longest += **ms;
        longest > total / 100.0
    });
    assert_near(number(&stats[0], "low_1_pct_integral_fps"), 1000.0 / integral.unwrap());
    let fps: Vec<f64> = sorted.iter().rev().map(|ms| 1000.0 / ms).collect();
    assert_near(number(&stats[0], "p1_fps"), border(&fps, 0.01));
    assert_near(number(&stats[0], "p02_fps"), border(&fps, 0.002));

    // Power is a line from -0.1 s to 19.98 s, without 12.0 to 13.5 s.
    let power = rows(&run(&store, "power", &[]));
    let sys = power.iter().find(|row| row["rail"] == "sys").unwrap();
    let integral = |from: i64, to: i64| {
        (power_w(from * MS) + power_w(to * MS)) / 2.0 * (to - from) as f64 / 1e3
    };
    let energy_j = integral(-100, 12_000) + integral(13_500, 19_980);
    assert_near(number(sys, "energy_j"), energy_j);
    assert_near(number(sys, "known_s"), 12.1 + 6.48);
    assert_near(number(sys, "mean_w"), energy_j / 18.58);
    assert_near(number(sys, "peak_w"), power_w(19_980 * MS));
    // The rails that have readings, each with its own; those without are left out.
    let mut rails: Vec<&str> = power.iter().map(|row| row["rail"].as_str()).collect();
    rails.sort_unstable();
    assert_eq!(rails, ["atx12v", "cpu", "eps1", "gpu", "mb", "pcie1", "sys"]);

    let known_j: Vec<f64> = (0..FRAMES)
        .filter(|f| !is_dropped(*f))
        .map(|f| (f * 20, f * 20 + latency_ms(f)))
        .filter(|(from, to)| (*to <= 12_000 || *from >= 13_500) && *to <= 19_980)
        .map(|(from, to)| integral(from, to))
        .collect();
    let efficiency = rows(&run(&store, "efficiency", &[]));
    assert_near(number(&efficiency[0], "frames"), known_j.len() as f64);
    let total_j: f64 = known_j.iter().sum();
    assert_near(number(&efficiency[0], "j_per_frame"), total_j / known_j.len() as f64);
    assert_near(number(&efficiency[0], "frames_per_j"), known_j.len() as f64 / total_j);
    let best = efficiency.iter().find(|row| row["frames_of"] == "most efficient").unwrap();
    assert_near(number(best, "frames"), (known_j.len() as f64 * 0.05).ceil());

    let lag = rows(&run(&store, "lag", &[]));
    let cpu = lag.iter().find(|row| row["of"] == "cpu").unwrap();
    assert!((number(cpu, "lag_ms") - 120.0).abs() <= 5.0, "{cpu:?}");
    let gpu = lag.iter().find(|row| row["of"] == "gpu").unwrap();
    assert_eq!(gpu["lag_ms"], "", "a flat series has no lag");

    let flow = rows(&run(&store, "flow", &[]));
    let told: Vec<_> = flow.iter().map(|row| (row["step"].as_str(), row["met"].as_str())).collect();
    let expected = [
        ("capture", "false"),
        ("encode", "false"),
        ("capture", "false"),
        ("open", ""),
        ("show", ""),
    ];
    assert_eq!(told, expected);
    assert_near(number(&flow[0], "energy_j"), integral(1_000, 5_000));
    assert_near(number(&flow[1], "frames"), 200.0);
    assert_near(number(&flow[1], "dropped"), 5.0);
    assert_eq!(flow[2]["energy_j"], "", "the power gap lies in it");
    let median = rows(&run(&store, "flow", &[("percentile", "0.5")]));
    assert_eq!(median[0]["met"], "true");

    let gaps = rows(&run(&store, "gaps", &[]));
    let gap = gaps.iter().find(|row| row["of"] == "power").unwrap();
    assert_near(number(gap, "gap_ms"), 1500.0);
    let health = gaps.iter().find(|row| row["name"] == "benchlab.usb timeout").unwrap();
    assert_near(number(health, "count"), 75.0);
}

#[test]
fn wrong_parameters_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let query = Query::new(&Settings::default()).unwrap();
        query.register_store(store, SessionFilter::All).unwrap();
        let ask = async |name: &str, value: &str| {
            let values = BTreeMap::from([(name.to_string(), value.to_string())]);
            query.job(Job::named("gaps").unwrap(), &values).await.err().unwrap().to_string()
        };
        assert!(ask("gap", "1").await.contains("did you mean 'gap_ms'"));
        assert!(ask("gap_ms", "long").await.contains("must be a number"));
    });
    // Text is a value whatever it holds.
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    recording::record(&store, "known");
    let csv = run(&store, "stats", &[("session", "x' OR '1'='1")]);
    assert_eq!(csv.lines().count(), 1, "{csv}");
}

/// Two boards, two sessions, two nodes and two pipelines of one name: each job's golden, and beside it what follows from the
/// definition alone.
#[test]
fn what_is_two_is_never_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    several::record(&store);
    for job in JOBS {
        let mut found = run(&store, job.name, &[]);
        if job.name == "latency" {
            found = lines_of(&found, &[0..8, 404..410, 1500..1504, 1748..1751]);
        }
        assert_golden(&format!("several/{}.expected.csv", job.name), &found);
    }
    each_frame_is_of_its_own_session_board_and_pipeline(&store);
    // What one board, one pipeline and one session say does not change by what lies beside them.
    let alone = tempfile::tempdir().unwrap();
    let alone = Store::new(alone.path());
    recording::record(&alone, "first");
    for (job, own) in [
        ("stats", |row: &Row| row["session"] == "first" && row["pipeline"] == "camera"),
        ("power", |row: &Row| row["session"] == "first" && row["device_uid"] == UID),
        ("lag", |row: &Row| row["session"] == "first" && row["of"] == "cpu"),
        ("thermal", |row: &Row| row["session"] == "first" && row["device"] == UID),
    ] as [(&str, fn(&Row) -> bool); 4]
    {
        let of = |store: &Store| {
            let all = rows(&run(store, job, &[])).into_iter();
            all.filter(own).map(|row| format!("{row:?}")).collect::<Vec<_>>().join("\n")
        };
        let (among, alone) = (of(&store), of(&alone));
        assert!(!alone.is_empty() && same(&among, &alone), "{job}\n{among}\n{alone}");
    }
    let power = rows(&run(&store, "power", &[]));
    let second = power.iter().find(|row| row["device_uid"] == SECOND_BOARD && row["rail"] == "sys");
    assert_near(number(second.unwrap(), "energy_j"), 1000.0 * 11.98);
    let clocks = rows(&run(&store, "clocks", &[]));
    let offsets: Vec<f64> = clocks.iter().map(|row| number(row, "offset_ms")).collect();
    assert_eq!(offsets, [0.0, AHEAD_NS as f64 / 1e6]);
}

fn each_frame_is_of_its_own_session_board_and_pipeline(store: &Store) {
    let frames = rows(&run(store, "latency", &[]));
    let (mut known, mut of_second) = (0, 0);
    for row in &frames {
        let frame = number(row, "frame") as i64;
        let of_first = row["session"] == "first";
        let (begins, takes) = match (of_first, row["pipeline"].as_str()) {
            (true, "camera") => (frame * 20, (!is_dropped(frame)).then(|| latency_ms(frame))),
            (true, SECOND_PIPELINE) => (frame * 40, Some(30)),
            (false, "camera") => (frame * 40, Some(20)),
            other => panic!("{other:?}"),
        };
        let Some(takes) = takes else {
            assert_eq!(row["latency_ms"], "");
            continue;
        };
        assert_near(number(row, "latency_ms"), takes as f64);
        let (from, to) = (begins, begins + takes);
        let mean_w = match of_first {
            true => (power_w(from * MS) + power_w(to * MS)) / 2.0,
            false => 50.0,
        };
        let is_known = !of_first || ((to <= 12_000 || from >= 13_500) && to <= 19_980);
        match is_known {
            true => assert_near(number(row, "energy_j"), mean_w * takes as f64 / 1e3),
            false => assert_eq!(row["energy_j"], "", "{row:?}"),
        }
        known += usize::from(is_known);
        of_second += usize::from(!of_first);
    }
    assert_eq!((frames.len(), of_second), (FRAMES as usize + 500 + 250, 250));
    assert!(known > 1500, "{known}");
}

/// The same instant on two nodes, told by the wall clock that both have.
#[test]
fn stamps_of_two_nodes_meet_on_one_clock() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    several::record(&store);
    let sql = "WITH fits AS (SELECT session, clock_fit(ts, realtime_ns, err_ns) AS fit FROM clock GROUP BY session) \
        SELECT p.session, CAST(on_clock(min(p.ts), first_value(f.fit)) AS BIGINT) AS wall_ns, \
               first_value(f.fit)['err_ns'] AS err_ns \
        FROM pipeline p JOIN fits f ON p.session = f.session GROUP BY p.session ORDER BY p.session";
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(async {
        let query = Query::new(&Settings::default()).unwrap();
        query.register_store(store, SessionFilter::All).unwrap();
        csv(&query.sql(sql).await.unwrap().collect().await.unwrap())
    });
    let told = format!(
        "session,wall_ns,err_ns\nfirst,{START_NS},100.0\nsecond,{},100.0\n",
        START_NS + 3_000 * MS + AHEAD_NS
    );
    assert_eq!(found, told);
}
