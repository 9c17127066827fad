//! Two sessions of two nodes at once, with two boards and two pipelines of one name in the first: all that must not be
//! taken for one.
//!
//! The first holds what the small session holds, and beside it a board that measures 1000 W from 0.5 s on and a second
//! pipeline of the same name, whose 500 frames, one each 40 ms, take 30 ms each. The second begins 3 s later on a node whose
//! wall clock is 7 ms ahead: a board of 50 W and 250 frames that take 20 ms each.

use bl_store::clock::Anchor;
use bl_store::{Rows, SessionSpec, SessionWriter, Store};

use super::{MS, START_NS, quick};

pub const SECOND_BOARD: &str = "AAAAAAAAAAAAAAAAAAAAAAAA";
pub const THIRD_BOARD: &str = "BBBBBBBBBBBBBBBBBBBBBBBB";
pub const SECOND_PIPELINE: &str = "camera@2";
/// How far the wall clock of the second node is ahead.
pub const AHEAD_NS: i64 = 7 * MS;

/// Records both.
pub fn record(store: &Store) {
    let first = begin(store, "first", "lab");
    super::write(&first, START_NS);
    power(&first, SECOND_BOARD, START_NS + 500 * MS, 1_000_000);
    frames(&first, SECOND_PIPELINE, START_NS, 500, 30);
    clock(&first, START_NS, 0);
    first.finish().unwrap();
    let second = begin(store, "second", "attic");
    let start_ns = START_NS + 3_000 * MS;
    power(&second, THIRD_BOARD, start_ns, 50_000);
    frames(&second, "camera", start_ns, 250, 20);
    clock(&second, start_ns, AHEAD_NS);
    second.finish().unwrap();
}

fn begin(store: &Store, name: &str, node: &str) -> SessionWriter {
    let spec = SessionSpec {
        id: Some(name.parse().unwrap()),
        node: node.into(),
        estimated_anchor: Some(Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }),
        ..SessionSpec::default()
    };
    SessionWriter::begin(store, spec, quick()).unwrap()
}

/// Samples of constant power for 12 s.
fn power(writer: &SessionWriter, board: &str, start_ns: i64, milliwatts: i32) {
    let table = bl_schemas::table("benchlab").unwrap();
    let mut rows = Rows::new(table);
    let [uid, err] = ["device_uid", "ts_err_ns"].map(|name| rows.column(name));
    let [sys, cpu] = ["sys_w", "cpu_w"].map(|name| rows.column(name));
    for at in (0..12_000).step_by(20) {
        rows.begin(start_ns + at * MS, "benchlab.usb");
        rows.str(uid, board);
        rows.i64(err, 2 * MS);
        rows.decimal(sys, milliwatts);
        rows.decimal(cpu, milliwatts / 10);
    }
    writer.append(table, rows.finish()).unwrap();
}

/// Frames, one each 40 ms, numbered from 0.
fn frames(writer: &SessionWriter, pipeline: &str, start_ns: i64, count: i64, latency_ms: i64) {
    let table = bl_schemas::table("pipeline").unwrap();
    let mut rows = Rows::new(table);
    let [name, stage, number] = ["pipeline", "stage", "frame"].map(|name| rows.column(name));
    for frame in 0..count {
        let begins = start_ns + frame * 40 * MS;
        for (of, ts) in [("ingress", begins), ("encoded", begins + latency_ms * MS)] {
            rows.begin(ts, "socket");
            rows.str(name, pipeline);
            rows.str(stage, of);
            rows.i64(number, frame);
        }
    }
    writer.append(table, rows.finish()).unwrap();
}

/// The clocks each 10 s, the wall clock ahead of the stamps.
fn clock(writer: &SessionWriter, start_ns: i64, ahead_ns: i64) {
    let table = bl_schemas::table("clock").unwrap();
    let mut rows = Rows::new(table);
    let [monotonic, real, err] =
        ["monotonic_ns", "realtime_ns", "err_ns"].map(|name| rows.column(name));
    for second in [0, 10, 20] {
        let ts = start_ns + second * 1000 * MS;
        rows.begin(ts, "host.clock");
        rows.i64(monotonic, ts);
        rows.i64(real, ts + ahead_ns);
        rows.i64(err, 100);
    }
    writer.append(table, rows.finish()).unwrap();
}
