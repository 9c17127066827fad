//! Fills a data root with sessions as long recordings leave them: `synthesise DATA_ROOT SESSIONS MINUTES`.
//!
//! Each has the samples of a virtual board (50 a second) and the events of two stages (60 frames a second), in files of
//! five minutes; session `synth-0` begins at 2026-01-01T00:00:00Z, the others follow one another.

use std::path::Path;

use bl_ingest::serial::emulator::Signal;
use bl_ingest::serial::protocol::{Contract, Model};
use bl_ingest::serial::{SampleColumns, SampleRow, Stamp};
use bl_store::clock::Anchor;
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

const BEGIN_NS: i64 = 1_767_225_600_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const FILE_MINUTES: i64 = 5;
const SAMPLE_NS: i64 = 20_000_000;
const FRAME_NS: i64 = 16_666_667;
const LATENCY_NS: i64 = 7_400_000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, sessions, minutes] = arguments.as_slice() else {
        return Err("call it as synthesise DATA_ROOT SESSIONS MINUTES".into());
    };
    let (sessions, minutes): (i64, i64) = (sessions.parse()?, minutes.parse()?);
    for session in 0..sessions {
        let from_ns = BEGIN_NS + session * minutes * MINUTE_NS;
        for minute in (0..minutes).step_by(FILE_MINUTES as usize) {
            let length = FILE_MINUTES.min(minutes - minute);
            let begin_ns = from_ns + minute * MINUTE_NS;
            write(root.as_ref(), session, begin_ns..begin_ns + length * MINUTE_NS)?;
        }
    }
    Ok(())
}

/// Appends one file a table to the session, as another import of it would.
fn write(root: &Path, session: i64, span_ns: std::ops::Range<i64>) -> Result<(), Failure> {
    let spec = SessionSpec {
        id: Some(format!("synth-{session}").parse()?),
        node: "synth".into(),
        estimated_anchor: Some(Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }),
        ..SessionSpec::default()
    };
    let writer = SessionWriter::begin(&Store::new(root), spec, WriteOptions::default())?;
    for mut rows in [samples(span_ns.clone())?, events(span_ns)?] {
        let batch = rows.finish();
        writer.append(rows.table(), batch)?;
        writer.flush()?;
    }
    writer.finish()?;
    Ok(())
}

fn samples(span_ns: std::ops::Range<i64>) -> Result<Rows, Failure> {
    let contract: &Contract = Model::Benchlab2.newest();
    let signal = Signal::desktop(1);
    let mut rows = Rows::new(bl_schemas::table("benchlab").ok_or("no table benchlab")?);
    let columns = SampleColumns::new(&rows);
    for ts in span_ns.step_by(SAMPLE_NS as usize) {
        // A round trip between 1 and 2 ms, uneven as real ones are.
        let rtt_ns = 1_000_000 + (ts / SAMPLE_NS * 7_919) % 1_000_000;
        let sample = signal.sample_at(contract, ts);
        let stamp = Stamp::of_exchange(ts - rtt_ns / 2, ts + rtt_ns / 2, ts + rtt_ns / 2);
        let (source, uid) = ("sim.benchlab", "00000000000000000000F00D");
        let (sample, repeats) = (&sample, Some(false));
        columns.push(&mut rows, &SampleRow { source, uid, stamp, contract, sample, repeats });
    }
    Ok(rows)
}

fn events(span_ns: std::ops::Range<i64>) -> Result<Rows, Failure> {
    let mut rows = Rows::new(bl_schemas::table("pipeline").ok_or("no table pipeline")?);
    let [stage, frame] = ["stage", "frame"].map(|name| rows.column(name));
    for ts in span_ns.step_by(FRAME_NS as usize) {
        let number = (ts - BEGIN_NS) / FRAME_NS;
        let jitter_ns = number * 7_919 % 1_000_000;
        for (name, ts) in [("ingress", ts), ("encoded", ts + LATENCY_NS + jitter_ns)] {
            if name == "encoded" && number % 100 == 7 {
                continue;
            }
            rows.begin(ts, "sim.events");
            rows.str(stage, name);
            rows.i64(frame, number);
        }
    }
    Ok(rows)
}
