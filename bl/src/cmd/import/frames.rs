//! Frame logs: `bl import mangohud|presentmon|capframex`.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use bl_ingest::import::{
    FollowMangoHud, FrameLog, FrameLogFormat, ImportReport, follow_mangohud, import_frames,
    read_frame_log,
};
use bl_ingest::source::Stop;
use bl_store::clock::Anchor;
use bl_store::{SessionId, SessionWriter, Store, WriteOptions};

use super::align_to::AlignTo;
use super::{Files, begin, end, session_name, summarise};
use crate::cmd::{ingest, usage};
use crate::config::Config;

/// Arguments for frame logs.
#[derive(Debug, clap::Args)]
pub struct Log {
    #[command(flatten)]
    files: Files,
    /// When the first frame was: now, an instant such as 2026-01-31T12:00:00Z, or a mark of the session, by its name
    /// where there are several (default: what the log tells, else the last frame is as old as the file).
    #[arg(long, value_name = "now|TIME|mark[:NAME]")]
    align_to: Option<AlignTo>,
}

/// Arguments for logs of MangoHud.
#[derive(Debug, clap::Args)]
pub struct MangoHudLog {
    #[command(flatten)]
    log: Log,
    /// Follow a log while the game writes it, until Ctrl-C; its newest frame is taken to be from now.
    #[arg(long)]
    follow: bool,
}

/// Runs `bl import mangohud`.
pub fn run_mangohud(args: &MangoHudLog, config: &Config) -> anyhow::Result<()> {
    match args.follow {
        true => follow(&args.log, config),
        false => run(&args.log, FrameLogFormat::MangoHud, config),
    }
}

/// Imports whole logs.
pub fn run(log: &Log, format: FrameLogFormat, config: &Config) -> anyhow::Result<()> {
    let store = Store::new(&config.general.data_root);
    let id = session(log, &store)?;
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
        let first_ts = match &log.align_to {
            Some(align_to) => align_to.first_ts(&store, &id)?,
            None => first_frame(&frame_log, file)?,
        };
        logs.push((frame_log, first_ts));
    }
    let spans = logs.iter().map(|(log, first_ts)| (*first_ts, first_ts + length_ns(log)));
    let span = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default();
    // Where power was recorded, the frames go beside it; else they are a session of their own, whose anchor is
    // nothing, as frames carry wall-clock times, and says so.
    let recorded = store.session(&id).ok().filter(|s| !s.manifest().anchor_estimated);
    let writer = match &recorded {
        Some(_) => reopen(&store, &id)?,
        None => begin(config, id, Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }, "frame log")?,
    };
    for (frame_log, first_ts) in &logs {
        import_frames(frame_log, *first_ts, &writer, &mut report)?;
    }
    match recorded {
        None => end(&writer, &report, span.0..span.1),
        Some(session) => {
            let m = session.manifest();
            if span.1 < m.started_ns || m.ended_ns.is_some_and(|ended| ended < span.0) {
                eprintln!(
                    "note: the frames are not of the time of session {}: see --align-to",
                    m.id
                );
            }
            writer.flush()?;
            summarise(&writer.finish()?, &report);
            Ok(())
        }
    }
}

/// Follows one log of MangoHud into a session of its own.
fn follow(log: &Log, config: &Config) -> anyhow::Result<()> {
    let [file] = &log.files.files[..] else {
        return Err(usage("--follow takes one file"));
    };
    // Before there is a session.
    FollowMangoHud::open(file)?;
    let store = Store::new(&config.general.data_root);
    let id = session(log, &store)?;
    let first_ts = log.align_to.as_ref().map(|a| a.first_ts(&store, &id)).transpose()?;
    let stop = Stop::new()?;
    ingest::stop_at_signals(&stop)?;
    let writer = begin(config, id, Anchor::measure(), "frame log")?;
    eprintln!("following {} into session {}; Ctrl-C ends it", file.display(), writer.manifest().id);
    let began_ns = writer.anchor().now();
    let mut report = ImportReport::default();
    let done = follow_mangohud(file, first_ts, &writer, &stop, &mut report);
    // What came before a failure stays.
    end(&writer, &report, began_ns..writer.anchor().now())?;
    Ok(done?)
}

/// The session that is named, `latest` for the newest, else one called as the first file.
fn session(log: &Log, store: &Store) -> anyhow::Result<SessionId> {
    if log.files.session.as_deref() != Some("latest") {
        return session_name(&log.files);
    }
    match store.sessions()?.0.pop() {
        Some(session) => Ok(session.id().clone()),
        None => bail!("there is no session in {} yet", store.data_root().display()),
    }
}

fn reopen(store: &Store, id: &SessionId) -> anyhow::Result<SessionWriter> {
    ingest::recover(store);
    Ok(SessionWriter::reopen(store, id, WriteOptions::default())?)
}

/// The time of a log's first frame, nanoseconds UTC: as the log tells it, else the last one is as old as the file.
fn first_frame(log: &FrameLog, file: &Path) -> anyhow::Result<i64> {
    match log.began_ns {
        Some(ns) => Ok(ns),
        None => Ok(modified_ns(file)?.saturating_sub(length_ns(log))),
    }
}

/// From the first frame to the last.
fn length_ns(log: &FrameLog) -> i64 {
    log.frames.iter().map(|f| f.at_ns).max().unwrap_or_default()
}

fn modified_ns(file: &Path) -> anyhow::Result<i64> {
    let modified = std::fs::metadata(file)?.modified()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(since.as_nanos() as i64)
}
