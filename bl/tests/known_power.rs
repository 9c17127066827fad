//! What frames and seconds cost, against boards whose power is a known function of time and whose replies take 4 to
//! 40 ms, unevenly.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bl_ingest::serial::emulator::{BoardOptions, Shape, Signal, VirtualBoard};
use bl_ingest::serial::protocol::Model;
use bl_store::Store;
use bl_store::clock::{Anchor, monotonic_ns};

const SECONDS: u64 = 6;
/// The board sends whole milliwatts for each rail.
const ROUNDING_W: f64 = 0.001;
/// When between two samples the power jumped, nobody can know: with samples up to 40 ms apart a jump of this much is
/// worth up to 1 J, a third of a percent of a second at 300 W. (A jump of 240 W was seen to cost 1.2 %.)
const JUMP_W: f64 = 40.0;

fn bl(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bl"));
    command
        .current_dir(folder)
        .env_clear()
        .env("BENCHLAB_DATA_ROOT", folder.join("data"))
        .env("BENCHLAB_CONFIG", folder.join("config.toml"))
        .stdin(Stdio::null());
    command
}

/// The cells of an answer, row by row; empty ones are null.
fn query(folder: &Path, sql: &str) -> Vec<Vec<Option<f64>>> {
    let out = bl(folder).args(["query", "--format", "csv", sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let row = |line: &str| line.split(',').map(|cell| cell.parse().ok()).collect();
    text.lines().skip(1).map(row).collect()
}

/// Records the board and a pipeline of 60 frames a second, 7 ms each; returns the session's anchor.
fn record(folder: &Path, signal: Signal) -> Anchor {
    let mut options = BoardOptions::new(Model::Benchlab2, 5);
    options.signal = signal;
    options.delay = "4ms..40ms".parse().unwrap();
    let board = VirtualBoard::start(options).unwrap();
    let socket = folder.join("bl.sock");
    let mut recorder = bl(folder)
        .args(["ingest", "--session", "known", "--no-host", "--benchlab-hz", "50"])
        .args(["--duration", &format!("{}s", SECONDS + 1)])
        .arg("--device")
        .arg(board.path().unwrap())
        .arg("--events")
        .arg(&socket)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = connect(&socket);
    let end = monotonic_ns() + SECONDS as i64 * 1_000_000_000;
    for frame in 0.. {
        let ts_ns = monotonic_ns();
        if ts_ns > end {
            break;
        }
        let mut event = |stage: &str, ts_ns: i64| {
            writeln!(stream, r#"{{"stage":"{stage}","frame":{frame},"ts_ns":{ts_ns}}}"#).unwrap();
        };
        event("ingress", ts_ns);
        std::thread::sleep(Duration::from_millis(7));
        event("encoded", monotonic_ns());
        std::thread::sleep(Duration::from_micros(9_600));
    }
    drop(stream);
    assert!(recorder.wait().unwrap().success());
    let store = Store::new(folder.join("data"));
    store.session(&"known".parse().unwrap()).unwrap().manifest().anchor
}

fn connect(socket: &Path) -> UnixStream {
    let began = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(e) => assert!(began.elapsed() < Duration::from_secs(20), "{e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The bounds of the signal between two instants.
fn range_w(signal: Signal, from_ns: i64, to_ns: i64) -> (f64, f64) {
    let steps = 200;
    let values = (0..=steps).map(|i| signal.power_w_at(from_ns + (to_ns - from_ns) * i / steps));
    values.fold((f64::MAX, f64::MIN), |(low, high), w| (low.min(w), high.max(w)))
}

/// The integral of the signal between two instants, in J.
fn integral_j(signal: Signal, from_ns: i64, to_ns: i64) -> f64 {
    let steps = 20_000;
    let step_ns = (to_ns - from_ns) as f64 / f64::from(steps);
    let middle = |i| from_ns + ((f64::from(i) + 0.5) * step_ns) as i64;
    (0..steps).map(|i| signal.power_w_at(middle(i)) * step_ns / 1e9).sum()
}

/// Each frame's power is what the board measured within the promised time around the sample's stamp.
fn check_frames(folder: &Path, signal: Signal, anchor: Anchor) {
    let frames = query(
        folder,
        "SELECT CAST(ts AS BIGINT) - CAST($anchor AS BIGINT) AS monotonic_ns, power_w, power_age_ms, power_err_ns \
         FROM latency WHERE NOT dropped"
            .replace("$anchor", &anchor.utc_minus_monotonic_ns.to_string())
            .as_str(),
    );
    assert!(frames.len() > 250, "{} frames", frames.len());
    // The first frames may be older than the board's first sample.
    let known: Vec<_> = frames.iter().filter(|row| row[1].is_some()).collect();
    assert!(known.len() * 100 >= frames.len() * 90, "{} of {}", known.len(), frames.len());
    let within = known.iter().filter(|row| {
        let [at_ns, power_w, age_ms, err_ns] = std::array::from_fn(|i| row[i].unwrap());
        let sampled_ns = (at_ns - age_ms * 1e6) as i64;
        // A microsecond for what the age loses as a float of milliseconds.
        let err_ns = err_ns as i64 + 1_000;
        let (low, high) = range_w(signal, sampled_ns - err_ns, sampled_ns + err_ns);
        (low - ROUNDING_W..=high + ROUNDING_W).contains(&power_w)
    });
    let within = within.count();
    assert!(within * 100 >= known.len() * 99, "{within} of {} frames", known.len());
}

/// The energy of each whole second is the integral of the signal, to half a percent.
fn check_seconds(folder: &Path, signal: Signal, anchor: Anchor) {
    let span = query(
        folder,
        "SELECT CAST(min(ts) AS BIGINT) - $anchor, CAST(max(ts) AS BIGINT) - $anchor FROM benchlab"
            .replace("$anchor", &anchor.utc_minus_monotonic_ns.to_string())
            .as_str(),
    );
    let (first_ns, last_ns) = (span[0][0].unwrap() as i64, span[0][1].unwrap() as i64);
    let seconds: Vec<i64> = (1..)
        .map(|i| first_ns + i * 500_000_000)
        .take_while(|from| from + 1_000_000_000 < last_ns)
        .collect();
    assert!(seconds.len() >= 6, "{} seconds", seconds.len());
    for from_ns in seconds {
        let to_ns = from_ns + 1_000_000_000;
        let sql = format!(
            "SELECT energy_j FROM energy(relation => (SELECT arrow_cast({}, 'Timestamp(Nanosecond, Some(\"UTC\"))') AS a, \
             arrow_cast({}, 'Timestamp(Nanosecond, Some(\"UTC\"))') AS b), from => a, to => b, power => benchlab, power_w => sys_w)",
            anchor.ts(from_ns),
            anchor.ts(to_ns),
        );
        let got_j = query(folder, &sql)[0][0].unwrap();
        let true_j = integral_j(signal, from_ns, to_ns);
        assert!((got_j / true_j - 1.0).abs() < 0.005, "{got_j} J of {true_j} J: {signal:?}");
    }
}

fn prove(shape: Shape, amplitude_w: f64, period_ms: i64) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    std::fs::write(folder.join("config.toml"), "").unwrap();
    let signal =
        Signal { shape, mean_w: 300.0, amplitude_w, period_ns: period_ms * 1_000_000, seed: 1 };
    let anchor = record(folder, signal);
    check_frames(folder, signal, anchor);
    check_seconds(folder, signal, anchor);
}

#[test]
fn steps_are_told_in_power_and_energy() {
    prove(Shape::Step, JUMP_W / 2.0, 4_000);
}

#[test]
fn a_sine_is_told_in_power_and_energy() {
    prove(Shape::Sine, 120.0, 2_000);
}

#[test]
fn a_saw_is_told_in_power_and_energy() {
    prove(Shape::Saw, JUMP_W / 2.0, 3_000);
}
