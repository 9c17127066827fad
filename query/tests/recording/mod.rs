//! A small session whose every number is known.
//!
//! 20 s of 50 frames a second: `ingress` each 20 ms, `decoded` 3 ms later, `encoded` 10 to 19 ms after
//! `ingress`; frames 0 to 2, 400 to 404 and 997 to 999 never reach `encoded`. System power rises from 100 W by
//! 10 W a second, sampled each 20 ms, with nothing from 12.0 to 13.5 s. Processor power follows its load after
//! 120 ms.

#![allow(dead_code)]

pub mod several;

use std::time::Duration;

use bl_store::clock::Anchor;
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

pub const MS: i64 = 1_000_000;
pub const FRAMES: i64 = 1000;
/// 2025-11-11T14:30:00Z.
pub const START_NS: i64 = 1_762_871_400_000_000_000;
pub const UID: &str = "0123456789ABCDEF01234567";

pub fn is_dropped(frame: i64) -> bool {
    matches!(frame, 0..=2 | 400..=404 | 997..=999)
}

pub fn latency_ms(frame: i64) -> i64 {
    10 + frame % 10
}

/// Watts at an instant after the start, exact between samples too.
pub fn power_w(ns: i64) -> f64 {
    100.0 + 10.0 * (ns as f64 / 1e9)
}

/// Load of the processor: a new value each 300 ms.
pub fn busy_pct(ns: i64) -> f32 {
    let slot = ns.div_euclid(300 * MS) as u64;
    let mixed = slot.wrapping_add(77).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed >> 40) % 90) as f32 + 5.0
}

/// Begins a session that is imported, so that its stamps are what they are told to be.
pub fn begin(store: &Store, name: &str) -> SessionWriter {
    let spec = SessionSpec {
        id: Some(name.parse().unwrap()),
        node: "lab".into(),
        estimated_anchor: Some(Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }),
        ..SessionSpec::default()
    };
    SessionWriter::begin(store, spec, quick()).unwrap()
}

pub fn quick() -> WriteOptions {
    WriteOptions { flush_every: Duration::from_millis(5), ..WriteOptions::default() }
}

/// Writes everything into `writer`, from `start_ns` on.
pub fn write(writer: &SessionWriter, start_ns: i64) {
    events(writer, start_ns, 0..FRAMES);
    power(writer, start_ns, -100 * MS..20_000 * MS);
    load(writer, start_ns);
    marks(writer, start_ns);
    health(writer, start_ns);
    writer.flush().unwrap();
}

/// The small session itself.
pub fn record(store: &Store, name: &str) {
    let writer = begin(store, name);
    write(&writer, START_NS);
    writer.finish().unwrap();
}

pub fn events(writer: &SessionWriter, start_ns: i64, frames: std::ops::Range<i64>) {
    let table = bl_schemas::table("pipeline").unwrap();
    let mut rows = Rows::new(table);
    let [pipeline, stage, number, key] =
        ["pipeline", "stage", "frame", "key_ns"].map(|name| rows.column(name));
    for frame in frames {
        let begins = start_ns + frame * 20 * MS;
        let ends = begins + latency_ms(frame) * MS;
        let all = [("ingress", begins), ("decoded", begins + 3 * MS), ("encoded", ends)];
        for (name, ts) in all {
            if name == "encoded" && is_dropped(frame) {
                continue;
            }
            rows.begin(ts, "socket");
            rows.str(pipeline, "camera");
            rows.str(stage, name);
            rows.i64(number, frame);
            rows.i64(key, frame * 20 * MS);
        }
    }
    writer.append(table, rows.finish()).unwrap();
}

/// Samples from and to instants after the start.
pub fn power(writer: &SessionWriter, start_ns: i64, span: std::ops::Range<i64>) {
    let table = bl_schemas::table("benchlab").unwrap();
    let mut rows = Rows::new(table);
    let [uid, err] = ["device_uid", "ts_err_ns"].map(|name| rows.column(name));
    let [sys, cpu, gpu, mb] = ["sys_w", "cpu_w", "gpu_w", "mb_w"].map(|name| rows.column(name));
    let [eps1, pcie1, atx12v, chip, ambient] =
        ["eps1_w", "pcie1_w", "atx12v_w", "chip_c", "ambient_c"].map(|name| rows.column(name));
    for at in span.step_by(20 * MS as usize) {
        if (12_000 * MS + 1..13_500 * MS).contains(&at) {
            continue;
        }
        let sys_mw = 100_000 + (at / MS * 10) as i32;
        let cpu_mw = 10_000 + (400.0 * busy_pct(at - 120 * MS)) as i32;
        rows.begin(start_ns + at, "benchlab.usb");
        rows.str(uid, UID);
        rows.i64(err, 2 * MS);
        rows.decimal(sys, sys_mw);
        rows.decimal(cpu, cpu_mw);
        rows.decimal(eps1, cpu_mw);
        rows.decimal(gpu, 40_000);
        rows.decimal(pcie1, 40_000);
        rows.decimal(mb, sys_mw - cpu_mw - 40_000);
        rows.decimal(atx12v, sys_mw - cpu_mw - 40_000);
        rows.decimal(chip, 400 + (at / (1000 * MS)) as i32);
        rows.decimal(ambient, 215);
    }
    writer.append(table, rows.finish()).unwrap();
}

fn load(writer: &SessionWriter, start_ns: i64) {
    let table = bl_schemas::table("cpu").unwrap();
    let mut rows = Rows::new(table);
    let [cpu, busy] = ["cpu", "busy_pct"].map(|name| rows.column(name));
    for at in (0..20_000 * MS).step_by(20 * MS as usize) {
        rows.begin(start_ns + at, "host.cpu");
        rows.str(cpu, "all");
        rows.f32(busy, busy_pct(at));
    }
    writer.append(table, rows.finish()).unwrap();
}

fn marks(writer: &SessionWriter, start_ns: i64) {
    let table = bl_schemas::table("marks").unwrap();
    let mut rows = Rows::new(table);
    let [name, kind] = ["name", "kind"].map(|name| rows.column(name));
    for (second, step, what) in [
        (0, "start", "point"),
        (1, "capture", "begin"),
        (5, "capture", "end"),
        (6, "encode", "begin"),
        (10, "encode", "end"),
        (11, "capture", "begin"),
        (14, "capture", "end"),
        (18, "open", "begin"),
    ] {
        rows.begin(start_ns + second * 1000 * MS, "socket");
        rows.str(name, step);
        rows.str(kind, what);
    }
    writer.append(table, rows.finish()).unwrap();
}

fn health(writer: &SessionWriter, start_ns: i64) {
    let table = bl_schemas::table("health").unwrap();
    let mut rows = Rows::new(table);
    let [reason, count] = ["reason", "count"].map(|name| rows.column(name));
    for (second, what, n) in [(3, "late", 2), (12, "timeout", 70), (13, "timeout", 5)] {
        rows.begin(start_ns + second * 1000 * MS, "benchlab.usb");
        rows.str(reason, what);
        rows.i64(count, n);
    }
    writer.append(table, rows.finish()).unwrap();
}
