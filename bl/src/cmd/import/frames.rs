//! Frame logs: `bl import mangohud|presentmon|capframex`.

use std::path::Path;

use anyhow::bail;
use bl_ingest::import::{
    Content, FollowMangoHud, FrameLog, FrameLogFormat, ImportReport, ProcessChoice, ReadOptions,
    follow_mangohud, import_frames, read_frame_log,
};
use bl_ingest::source::Stop;
use bl_store::clock::Anchor;
use bl_store::{FirstFrame, Import, SessionId, SessionWriter, Store, WriteOptions};

use super::align_to::{AlignTo, first_frame};
use super::{Files, Past, begin, end, import_of, judge, session_name, summarise};
use crate::cmd::{ingest, usage};
use crate::config::Config;

/// Arguments for frame logs.
#[derive(Debug, clap::Args)]
pub struct Log {
    #[command(flatten)]
    files: Files,
    /// When the first frame was: now, an instant such as 2026-01-31T12:00:00Z, a mark of the session, by its name
    /// where there are several, or file: the last frame is as old as the file (default: what the log or its name tells,
    /// else file).
    #[arg(long, value_name = "now|TIME|mark[:NAME]|file")]
    align_to: Option<AlignTo>,
    /// Take the frames of one process only, by its number or its program's name (default: all, each a stream of its own).
    #[arg(long, value_name = "PID|NAME")]
    process: Option<String>,
}

/// Arguments for logs of PresentMon.
#[derive(Debug, clap::Args)]
pub struct PresentMonLog {
    #[command(flatten)]
    log: Log,
    /// Ticks a second of TimeInQPC and CPUStartQPC, where the log does not tell (10000000 on Windows 10 and later).
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u64).range(1..))]
    qpc_hz: Option<u64>,
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
        false => run(&args.log, FrameLogFormat::MangoHud, None, config),
    }
}

/// Runs `bl import presentmon`.
pub fn run_presentmon(args: &PresentMonLog, config: &Config) -> anyhow::Result<()> {
    run(&args.log, FrameLogFormat::PresentMon, args.qpc_hz, config)
}

/// Runs `bl import capframex`.
pub fn run_capframex(log: &Log, config: &Config) -> anyhow::Result<()> {
    run(log, FrameLogFormat::CapFrameX, None, config)
}

/// Imports whole logs.
fn run(
    log: &Log,
    format: FrameLogFormat,
    qpc_hz: Option<u64>,
    config: &Config,
) -> anyhow::Result<()> {
    let store = Store::new(&config.general.data_root);
    let id = session(log, &store)?;
    let options = ReadOptions {
        format: Some(format),
        process: log.process.as_deref().map(ProcessChoice::new),
        qpc_hz: qpc_hz.map(|hz| hz as f64),
    };
    let mut past = Past::of(&store, &id);
    let mut logs: Vec<(FrameLog, Import, i64)> = Vec::new();
    let mut report = ImportReport::default();
    for file in &log.files.files {
        let (frame_log, read) = read_frame_log(file, &options)?;
        let first = match &log.align_to {
            Some(align_to) => align_to.first_frame(&store, &id, &frame_log, file)?,
            None => first_frame(&frame_log, file)?,
        };
        let import = Import {
            process: log.process.clone(),
            info: frame_log.info.clone(),
            first_frame: Some(first.clone()),
            ..import_of(file, format.source(), frame_log.content.clone())
        };
        if !past.is_new(file, &import) {
            continue;
        }
        tell(file, &frame_log, &first);
        report.add(read);
        logs.push((frame_log, import, first.ts_ns));
    }
    if logs.is_empty() {
        return Ok(());
    }
    import(&store, id, logs, &mut report, config)?;
    judge(&report, log.files.allow_bad)
}

/// Says what is to be known of a log.
fn tell(file: &Path, log: &FrameLog, first: &FirstFrame) {
    let file = file.display();
    if log.coverage().is_some_and(|c| c < 0.9) && log.format == FrameLogFormat::MangoHud {
        eprintln!(
            "{file}: the log holds a part of the frames only; for all of them log with log_interval=0"
        );
    }
    let within = match first.err_ns {
        Some(err_ns) => format!(", within {} s", err_ns as f64 / 1e9),
        None => String::new(),
    };
    let at = jiff::Timestamp::from_nanosecond(first.ts_ns.into());
    let at = at.map_or_else(|_| first.ts_ns.to_string(), |at| format!("{at:.3}"));
    eprintln!("{file}: first frame {at}, by {}{within}", first.from);
    if let [(dominant, frames), _, ..] = &log.streams()[..] {
        eprintln!(
            "{file}: {} streams of frames, each a pipeline; {dominant} has the most ({frames} of {}) and is what exports \
             take; --process takes one",
            log.streams().len(),
            log.frames.len()
        );
    }
}

/// Puts logs into a session: beside its power where it was recorded, else it is one of their own, whose anchor is
/// nothing, as frames carry wall-clock times, and says so.
fn import(
    store: &Store,
    id: SessionId,
    logs: Vec<(FrameLog, Import, i64)>,
    report: &mut ImportReport,
    config: &Config,
) -> anyhow::Result<()> {
    let spans = logs.iter().map(|(log, _, first_ts)| (*first_ts, first_ts + log.length_ns));
    let span = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default();
    let recorded = store.session(&id).ok().filter(|s| !s.manifest().anchor_estimated);
    let writer = match &recorded {
        Some(_) => reopen(store, &id)?,
        None => begin(config, id, Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }, "frame log")?,
    };
    for (frame_log, _, first_ts) in &logs {
        import_frames(frame_log, *first_ts, &writer, report)?;
    }
    let imports = logs.into_iter().map(|(_, import, _)| import).collect();
    let Some(session) = recorded else {
        return end(&writer, report, span.0..span.1, imports);
    };
    let m = session.manifest();
    if span.1 < m.started_ns || m.ended_ns.is_some_and(|ended| ended < span.0) {
        eprintln!("note: the frames are not of the time of session {}: see --align-to", m.id);
    }
    writer.flush()?;
    writer.update(|m| m.imports.extend(imports))?;
    summarise(&writer.finish()?, report);
    Ok(())
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
    let first_ts = log.align_to.as_ref().map(|a| a.ts_ns(&store, &id)).transpose()?;
    let stop = Stop::new()?;
    ingest::stop_at_signals(&stop)?;
    let writer = begin(config, id, Anchor::measure(), "frame log")?;
    eprintln!("following {} into session {}; Ctrl-C ends it", file.display(), writer.manifest().id);
    let began_ns = writer.anchor().now();
    let mut report = ImportReport::default();
    let done = follow_mangohud(file, first_ts, &writer, &stop, &mut report);
    // A log that is gone has no content that could be known again.
    let content = Content::of(file).ok();
    let source = FrameLogFormat::MangoHud.source();
    let imports = content.map(|content| import_of(file, source, content)).into_iter().collect();
    // What came before a failure stays.
    end(&writer, &report, began_ns..writer.anchor().now(), imports)?;
    done?;
    judge(&report, log.files.allow_bad)
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
