//! `bl import`: recordings and frame logs of other tools.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bl_ingest::import::{
    FrameLogFormat, ImportReport, estimate_time, import_frames, import_jsonl, read_frame_log,
};
use bl_store::clock::{Anchor, realtime_ns};
use bl_store::{SessionId, SessionSpec, SessionWriter, Store, StoreError, WriteOptions};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::usage;
use crate::config::{Config, Sources};

/// Arguments of `bl import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Recordings of BENCHLAB.LinuxTelemetry: lines of JSON, plain or gzip.
    Jsonl(Files),
    /// CSV logs of MangoHud.
    Mangohud(Log),
    /// CSV files of PresentMon, 1.x and 2.x.
    Presentmon(Log),
    /// Records of CapFrameX, JSON.
    Capframex(Log),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// The session to import into; one that was imported before is appended to.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Log {
    #[command(flatten)]
    files: Files,
    /// Time of the first frame: now, or an instant such as 2026-01-31T12:00:00Z (default: what the log tells,
    /// else the file's time).
    #[arg(long, value_name = "now|TIME")]
    align_to: Option<String>,
}

/// Runs `bl import`.
pub fn run(args: Args, sources: &Sources<'_>) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    match args.command {
        Command::Jsonl(files) => jsonl(&files, &config),
        Command::Mangohud(log) => frames(&log, FrameLogFormat::MangoHud, &config),
        Command::Presentmon(log) => frames(&log, FrameLogFormat::PresentMon, &config),
        Command::Capframex(log) => frames(&log, FrameLogFormat::CapFrameX, &config),
    }
}

fn jsonl(files: &Files, config: &Config) -> anyhow::Result<()> {
    let name = session_name(files)?;
    let time = estimate_time(&files.files, name.as_str())?;
    let (first, last) = (time.anchor.ts(time.first_ns), time.anchor.ts(time.last_ns));
    let basis = format!("{:?}", time.basis);
    let writer = begin(config, name, time.anchor, &basis)?;
    let bar = progress();
    let report = import_jsonl(&files.files, &writer, &mut |lines| bar.set_position(lines))?;
    bar.finish_and_clear();
    end(&writer, &report, first..last)
}

fn frames(log: &Log, format: FrameLogFormat, config: &Config) -> anyhow::Result<()> {
    let name = session_name(&log.files)?;
    let mut logs = Vec::new();
    let mut report = ImportReport::default();
    for file in &log.files.files {
        let (frame_log, read) = read_frame_log(file, Some(format))?;
        if frame_log.coverage().is_some_and(|c| c < 0.9) {
            eprintln!(
                "{}: the log holds a part of the frames only; for all of them log with log_interval=0",
                file.display()
            );
        }
        report.files += 1;
        report.lines += read.lines;
        report.bad += read.bad;
        report.bad_lines.extend(read.bad_lines);
        let first_ts = first_frame(log, file, frame_log.began_ns)?;
        logs.push((frame_log, first_ts));
    }
    // Frames carry wall-clock times: the anchor is nothing, and says so.
    let anchor = Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 };
    let writer = begin(config, name, anchor, "frame log")?;
    let mut range = i64::MAX..i64::MIN;
    for (frame_log, first_ts) in &logs {
        import_frames(frame_log, *first_ts, &writer, &mut report)?;
        range.start = range.start.min(*first_ts);
        let length = frame_log.frames.last().map_or(0, |f| f.at_ns);
        range.end = range.end.max(first_ts + length);
    }
    end(&writer, &report, range)
}

/// The time of a log's first frame, nanoseconds UTC.
fn first_frame(log: &Log, file: &Path, began_ns: Option<i64>) -> anyhow::Result<i64> {
    match log.align_to.as_deref() {
        Some("now") => Ok(realtime_ns()),
        Some(text) => {
            let time: jiff::Timestamp = text.parse().map_err(|e| {
                usage(format!(
                    "--align-to {text}: write 'now' or an instant like 2026-01-31T12:00:00Z ({e})"
                ))
            })?;
            time.as_nanosecond().try_into().context("--align-to: too far away")
        }
        None => match began_ns {
            Some(ns) => Ok(ns),
            None => modified_ns(file),
        },
    }
}

fn modified_ns(file: &Path) -> anyhow::Result<i64> {
    let modified = std::fs::metadata(file)?.modified()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(since.as_nanos() as i64)
}

/// The name given, else the first file's.
fn session_name(files: &Files) -> anyhow::Result<SessionId> {
    if let Some(name) = &files.session {
        return Ok(name.parse()?);
    }
    let stem = files.files.first().and_then(|f| f.file_name()).unwrap_or_default();
    let stem = stem.to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default();
    stem.parse().map_err(|e| usage(format!("{e}; name the session with --session")))
}

fn begin(
    config: &Config,
    id: SessionId,
    anchor: Anchor,
    basis: &str,
) -> anyhow::Result<SessionWriter> {
    let spec = SessionSpec {
        id: Some(id),
        node: config.general.node_name.clone(),
        config: json!({ "imported": true, "time_from": basis }),
        estimated_anchor: Some(anchor),
        ..SessionSpec::default()
    };
    let store = Store::new(&config.general.data_root);
    Ok(SessionWriter::begin(&store, spec, WriteOptions::default())?)
}

fn end(
    writer: &SessionWriter,
    report: &ImportReport,
    range: std::ops::Range<i64>,
) -> anyhow::Result<()> {
    writer.flush()?;
    writer.update(|m| {
        m.started_ns = m.started_ns.min(range.start);
        m.ended_ns = Some(m.ended_ns.unwrap_or(range.end).max(range.end));
    })?;
    let manifest = writer.finish().map_err(|e: StoreError| anyhow::anyhow!(e))?;
    eprintln!("{report}");
    let rows: BTreeMap<_, _> = report.rows.iter().filter(|(_, n)| **n > 0).collect();
    let table = rows.keys().next().map_or("sessions", |t| t);
    eprintln!("try: bl query --session {} \"SELECT count(*) FROM {table}\"", manifest.id);
    Ok(())
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} lines ({per_sec})") {
        bar.set_style(style);
    }
    bar
}
