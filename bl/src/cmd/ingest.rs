//! `bl ingest`: record.

mod notices;
pub mod sources;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bl_ingest::serial::emulator::VirtualBoard;
use bl_ingest::socket::EventsSocket;
use bl_ingest::source::Stop;
use bl_ingest::{Recording, Summary};
use bl_store::clock::monotonic_ns;
use bl_store::{SessionSpec, Store, WriteOptions};
use serde_json::json;

use super::usage;
use crate::config::{Config, Sources};
use crate::terminal::{grouped, span};

use notices::Notices;
use status::StatusLine;

/// Arguments of `bl ingest`.
///
/// Rows reach the open segment (and readers) within store.flush_ms (100 ms); a power cut may cost what came within
/// store.sync_ms (1 s); a crash of bl alone costs no row that readers could see.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    what: WhatArgs,
    /// End after this time, such as 30s, 5m or 1h (default: at Ctrl-C).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Also show it: the page and the metrics, as `bl serve` does, in the same process.
    #[arg(long)]
    serve: bool,
}

/// What is recorded, and as which session.
#[derive(Debug, clap::Args)]
pub struct WhatArgs {
    /// Name of the session (default: its start, such as 2025-11-11T14-30-00Z).
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Board to record: a path, a UID, or auto for all; may be repeated (default: auto).
    #[arg(long, value_name = "PATH|UID|auto")]
    device: Vec<String>,
    /// Samples a second of each board (default 50).
    #[arg(long, value_name = "HZ")]
    benchlab_hz: Option<f64>,
    /// Samples a second of the host (default 10).
    #[arg(long, value_name = "HZ")]
    hz: Option<f64>,
    /// Socket for stage events (default: pipeline.events of the configuration).
    #[arg(long, value_name = "PATH")]
    events: Option<std::path::PathBuf>,
    /// Record a virtual board, and in `bl ingest` simulated stages, through the same interfaces as real ones.
    #[arg(long)]
    simulate: bool,
    /// Do not record the host (CPU, memory, network, disks, GPUs, sensors).
    #[arg(long)]
    no_host: bool,
    /// Record a firmware that is not known, if its replies have a known size.
    #[arg(long)]
    allow_unknown_firmware: bool,
}

/// A recording that has begun, with what has to live as long.
pub struct Running {
    pub recording: Recording,
    stop: Stop,
    _simulated: Option<VirtualBoard>,
}

/// Runs `bl ingest`.
pub fn run(args: Args, mut sources: Sources<'static>) -> anyhow::Result<()> {
    args.what.set_flags(&mut sources);
    let config = Config::load(&sources)?;
    let _served = args.serve.then(|| super::serve::beside(&config)).transpose()?;
    let running = begin(&args.what, &config)?;
    if args.what.simulate {
        sources::start_simulated_stages(&running.recording, &config)?;
    }
    stop_at_signals(&running.stop)?;
    let hung_up = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&hung_up))?;
    let mut config = config;
    watch(&running.recording, &running.stop, args.duration, || {
        hung_up.swap(false, Ordering::Relaxed).then(|| reload(&mut config, &sources))
    });
    let summary = running.finish()?;
    tell(&summary);
    if config.cx_export.enabled {
        super::export::cx::export_ended(&config, &summary.manifest.id);
    }
    Ok(())
}

/// Begins a recording of everything that the configuration and the arguments ask for.
pub fn begin(args: &WhatArgs, config: &Config) -> anyhow::Result<Running> {
    let stop = Stop::new()?;
    let store = Store::new(&config.general.data_root);
    recover(&store);
    let boards = sources::boards(config)?;
    sources::check_endpoints(config)?;
    // Before there is a session: a socket that another recorder listens on is refused here.
    let events = EventsSocket::bind(&config.pipeline.events)?;
    let options = write_options(config);
    let mut told = false;
    let recording = Recording::begin_when_there_is_room(
        &store,
        spec(args, config)?,
        options,
        stop.clone(),
        |e| {
            if !std::mem::replace(&mut told, true) {
                eprintln!("the disk is full, waiting for room before anything is recorded: {e}");
            }
        },
    )?;
    let id = recording.writer().manifest().id;
    eprintln!("recording session {id} in {}", config.general.data_root.display());
    let simulated =
        sources::start(&recording, config, boards, events, args.simulate, !args.no_host)?;
    Ok(Running { recording, stop, _simulated: simulated })
}

impl Running {
    /// Ends it.
    pub fn finish(self) -> anyhow::Result<Summary> {
        Ok(self.recording.finish()?)
    }
}

impl WhatArgs {
    /// Hands what was said on the command line to the configuration.
    pub fn set_flags(&self, sources: &mut Sources<'static>) {
        let flags = &mut sources.flags;
        flags.set_all("--device", "benchlab.device", &self.device);
        flags.set("--benchlab-hz", "benchlab.hz", self.benchlab_hz);
        flags.set("--hz", "general.sample_hz", self.hz);
        flags.set("--events", "pipeline.events", self.events.as_ref().map(|p| p.display()));
        flags.set(
            "--allow-unknown-firmware",
            "benchlab.allow_unknown_firmware",
            self.allow_unknown_firmware.then_some(true),
        );
    }
}

/// Reads the configuration again, for SIGHUP; returns what is to be said of it.
fn reload(config: &mut Config, sources: &Sources<'_>) -> String {
    match config.reload(sources) {
        Ok((new, changes)) => {
            *config = new;
            let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
            match lines.is_empty() {
                true => "configuration read again: nothing has changed".into(),
                false => format!("configuration read again:\n  {}", lines.join("\n  ")),
            }
        }
        Err(e) => format!("the configuration stays as it was: {e}"),
    }
}

/// Waits for the end, and meanwhile shows what is going on, and what `news` has to say.
fn watch(
    recording: &Recording,
    stop: &Stop,
    duration: Option<Duration>,
    mut news: impl FnMut() -> Option<String>,
) {
    let began = monotonic_ns();
    let end = duration.map(|d| began + d.as_nanos() as i64);
    let mut line = StatusLine::new(began);
    let mut notices = Notices::default();
    let mut told = None;
    let mut id = recording.writer().id();
    loop {
        let left = end.map_or(i64::MAX, |end| end - monotonic_ns());
        if left <= 0 || !stop.sleep_ns(left.min(500_000_000)) {
            break;
        }
        if let Some(text) = news() {
            line.say(&text);
        }
        if let Err(e) = recording.note_devices() {
            line.say(&format!("session.json cannot be written: {e}"));
        }
        let now = recording.writer().id();
        if now != id {
            line.say(&format!(
                "the folder of session {id} was deleted: recording goes on in session {now}"
            ));
            id = now;
        }
        let trouble = recording.writer().trouble();
        if trouble != told {
            line.say(&match &trouble {
                Some(text) => format!("the disk refuses, rows wait in memory: {text}"),
                None => match recording.writer().refused_rows() {
                    0 => "the disk takes rows again; none was lost in memory".into(),
                    n => format!(
                        "the disk takes rows again; {} found no room and are lost",
                        grouped(n)
                    ),
                },
            });
            told = trouble;
        }
        let statuses = recording.statuses();
        for text in notices.news(&statuses, monotonic_ns() - began) {
            line.say(&text);
        }
        line.show(&statuses);
    }
    line.clear();
}

/// Says what was recorded, and what to try next.
pub fn tell(summary: &Summary) {
    let m = &summary.manifest;
    let length = span(m.ended_ns.unwrap_or(m.started_ns) - m.started_ns);
    let tables: Vec<String> =
        m.rows.iter().map(|(table, n)| format!("{} {table}", grouped(*n))).collect();
    eprintln!(
        "recorded {length}: {} rows",
        if tables.is_empty() { "no".into() } else { tables.join(", ") }
    );
    for (source, lost) in &summary.lost {
        eprintln!("  {source} lost {}: see SELECT * FROM health", grouped(*lost));
    }
    for source in &summary.hung {
        eprintln!("  {source} did not end in time and was left behind");
    }
    let table = ["benchlab", "pipeline", "cpu"].into_iter().find(|t| m.rows.contains_key(*t));
    match table {
        Some("benchlab") => eprintln!(
            "try: bl query --session {} \"SELECT avg(sys_w), max(sys_w) FROM benchlab\"",
            m.id
        ),
        Some(table) => {
            eprintln!("try: bl query --session {} \"SELECT count(*) FROM {table}\"", m.id)
        }
        None => eprintln!("try: bl ingest --simulate --duration 10s"),
    }
}

fn spec(args: &WhatArgs, config: &Config) -> anyhow::Result<SessionSpec> {
    let id = match &args.session {
        Some(name) => Some(name.parse()?),
        None => None,
    };
    Ok(SessionSpec {
        id,
        node: config.general.node_name.clone(),
        host: bl_ingest::host::inventory(std::path::Path::new("/")),
        config: json!({
            "benchlab_hz": config.benchlab.hz,
            "sample_hz": config.general.sample_hz,
            "pairs": config.pipeline.pairs,
            "file": config.file(),
        }),
        estimated_anchor: None,
    })
}

fn write_options(config: &Config) -> WriteOptions {
    WriteOptions {
        flush_every: Duration::from_millis(config.store.flush_ms.into()),
        sync_every: Duration::from_millis(config.store.sync_ms.into()),
        seal_after: Duration::from_secs(config.store.seal_seconds.into()),
        seal_bytes: config.store.seal_bytes,
        ..WriteOptions::default()
    }
}

/// Seals what recorders that died have left behind, and says so.
pub fn recover(store: &Store) {
    match store.recover() {
        Ok(results) => {
            for (id, result) in results {
                match result {
                    Ok(r) => {
                        if r.segments > 0 || r.left.is_empty() {
                            eprintln!(
                                "session {id} had been interrupted: sealed {} rows of {} segments",
                                grouped(r.rows),
                                r.segments
                            );
                        }
                        for what in r.left.iter().chain(&r.unreadable) {
                            eprintln!("session {id}: {what}");
                        }
                    }
                    Err(e) => eprintln!("session {id} cannot be recovered yet: {e}"),
                }
            }
        }
        Err(e) => eprintln!("bl: {e}"),
    }
}

/// Ctrl-C and SIGTERM stop; a second Ctrl-C ends at once, which loses nothing that was flushed.
pub fn stop_at_signals(stop: &Stop) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        .context("cannot listen for signals")?;
    let stop = stop.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if stop.stopping() {
                std::process::exit(128 + signal);
            }
            stop.stop();
        }
    })?;
    Ok(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(format!("'{unit}' is no unit of time: write ms, s, m, h or d")),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if n > 0.0 && n * seconds < 1e9 => Ok(Duration::from_secs_f64(n * seconds)),
        _ => Err(format!("'{text}' is no time: write it as 30s, 5m or 1h")),
    }
}

/// Why a value of the configuration cannot be used.
fn refuse(config: &Config, key: &str, why: impl std::fmt::Display) -> anyhow::Error {
    usage(format!("{key} ({}): {why}", config.origin(key)))
}
