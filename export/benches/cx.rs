//! `bl export cx` of many frames, from a sealed session to a file: frames a second, CSV and JSON.
//!
//!     cargo bench -p bl-export --bench cx -- [FRAMES]

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use bl_export::cx::{Metric, Request, Source, StagePair, write_csv, write_json};
use bl_store::clock::Anchor;
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

const FRAMES: i64 = 5_000_000;
const START_NS: i64 = 1_762_871_400_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let frames = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(FRAMES);
    let folder = tempfile::tempdir()?;
    let store = Store::new(folder.path());
    record(&store, frames)?;
    let session = store.session(&"bench".parse()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for metric in [Metric::Latency, Metric::Interval] {
        let request = request(metric)?;
        for _ in 0..3 {
            let begin = Instant::now();
            let out = File::create(folder.path().join("frames.csv"))?;
            let report = runtime.block_on(write_csv(&store, &session, &request, out))?;
            tell(
                &format!("csv {metric:?}"),
                begin,
                report.frames,
                &folder.path().join("frames.csv"),
            )?;
        }
    }
    let begin = Instant::now();
    let out = File::create(folder.path().join("frames.json"))?;
    let report = runtime.block_on(write_json(&store, &session, &request(Metric::Latency)?, out))?;
    tell("json Latency", begin, report.frames, &folder.path().join("frames.json"))
}

fn request(metric: Metric) -> Result<Request, Box<dyn std::error::Error>> {
    let pair = StagePair {
        stage_a: "ingress".into(),
        stage_b: "encoded".into(),
        pipeline: None,
        window_ns: 2_000_000_000,
        metric,
    };
    Ok(Request { source: Source::Stages(pair), application: Some("bench".parse()?), board: None })
}

fn tell(
    what: &str,
    begin: Instant,
    frames: u64,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let (took, bytes) = (begin.elapsed().as_secs_f64(), std::fs::metadata(file)?.len());
    let (million_s, megabytes_s) = (frames as f64 / took / 1e6, bytes as f64 / took / 1e6);
    println!("{what}: {frames} frames in {took:.2} s, {million_s:.2} M/s, {megabytes_s:.0} MB/s");
    Ok(())
}

/// 60 frames a second, 2 % dropped, latencies from 5 to 15 ms; a board at 50 Hz.
fn record(store: &Store, frames: i64) -> Result<(), Box<dyn std::error::Error>> {
    let anchor = Anchor { utc_minus_monotonic_ns: START_NS, err_ns: 0 };
    let spec = SessionSpec {
        id: Some("bench".parse()?),
        node: "host".into(),
        estimated_anchor: Some(anchor),
        ..SessionSpec::default()
    };
    let options = WriteOptions { pending_bytes: 4 << 30, ..WriteOptions::default() };
    let writer = SessionWriter::begin(store, spec, options)?;
    let tables = ["pipeline", "benchlab"].map(bl_schemas::table);
    let [Some(pipeline), Some(benchlab)] = tables else { return Err("tables are missing".into()) };
    let (mut events, mut samples) = (Rows::new(pipeline), Rows::new(benchlab));
    let (stage, number) = (events.column("stage"), events.column("frame"));
    let (uid, sys_w) = (samples.column("device_uid"), samples.column("sys_w"));
    let mut random = 1_u64;
    for frame in 0..frames {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at_ns = START_NS + frame * 16_666_667;
        let latency_ns = 5_000_000 + (random >> 33) as i64 % 10_000_000;
        events.begin(at_ns, "bench");
        events.str(stage, "ingress");
        events.i64(number, frame);
        if random >> 57 > 2 {
            events.begin(at_ns + latency_ns, "bench");
            events.str(stage, "encoded");
            events.i64(number, frame);
        }
        samples.begin(at_ns, "bench");
        samples.str(uid, "AB");
        samples.decimal(sys_w, 200_000 + (random >> 50) as i32);
        if frame % 10_000 == 9_999 || frame + 1 == frames {
            writer.append(pipeline, events.finish())?;
            writer.append(benchlab, samples.finish())?;
            writer.flush()?;
        }
    }
    writer.finish()?;
    Ok(())
}
