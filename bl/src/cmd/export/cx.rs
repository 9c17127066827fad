//! `bl export cx`: frames for CapFrameX.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bl_export::cx::{Defaults, Ended, Exporter, Format, Metric, Order, Report};
use bl_store::{Session, SessionId, Store};
use clap::ValueEnum;

use super::super::usage;
use crate::config::{Config, CxFormat, Origin};
use crate::terminal::{grouped, sentence};

/// How often sessions are looked at with `--follow`.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Arguments of `bl export cx`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session, or 'latest'.
    #[arg(long, value_name = "NAME", default_value = "latest")]
    session: String,
    /// Stage where a frame begins (default: cx_export.stage_a of the configuration).
    #[arg(long, value_name = "STAGE")]
    stage_a: Option<String>,
    /// Stage where it ends (default: cx_export.stage_b of the configuration).
    #[arg(long, value_name = "STAGE")]
    stage_b: Option<String>,
    /// The pipeline, where several have these stages ('' for events that name none).
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// An imported frame log of the session, instead of stages.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["stage_a", "stage_b", "pipeline"])]
    log: Option<String>,
    /// Name of the application (default: cx_export.application_name, or what the frame log tells).
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// UID of the BENCHLAB board whose power is told, where several were recorded.
    #[arg(long, value_name = "UID")]
    device: Option<String>,
    /// The form of the file (default: by the ending of -o, else cx_export.format of the configuration).
    #[arg(long, value_enum)]
    format: Option<CxFormat>,
    /// What stands as frame time: the latency from stage to stage, or the interval between frames at the first
    /// stage. Imported frame logs have intervals.
    #[arg(long, value_enum, default_value = "latency")]
    metric: MetricName,
    /// The file to write (default: one in the watched folder, else in the session's folder cx-export).
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["watch_dir", "follow"])]
    output: Option<PathBuf>,
    /// Folder that CapFrameX watches (default: cx_export.watch_dir of the configuration).
    #[arg(long, value_name = "DIR")]
    watch_dir: Option<PathBuf>,
    /// Go on, and export every session when it ends.
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MetricName {
    Latency,
    Interval,
}

impl From<MetricName> for Metric {
    fn from(name: MetricName) -> Self {
        match name {
            MetricName::Latency => Self::Latency,
            MetricName::Interval => Self::Interval,
        }
    }
}

impl From<CxFormat> for Format {
    fn from(format: CxFormat) -> Self {
        match format {
            CxFormat::Csv => Self::Csv,
            CxFormat::Json => Self::Json,
        }
    }
}

/// Runs `bl export cx`.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let store = Store::new(&config.general.data_root);
    let order = Order {
        stage_a: args.stage_a,
        stage_b: args.stage_b,
        pipeline: args.pipeline,
        log: args.log,
        application: args.application,
        board: args.device,
        metric: Some(args.metric.into()),
        format: args.format.map(Format::from),
        output: args.output,
        folder: args.watch_dir,
    };
    let exporter = Exporter::new(store.clone(), order, defaults(config));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.follow {
        true => runtime.block_on(follow(&exporter, &store, &args.session)),
        false => runtime.block_on(write(&exporter, &named(&store, &args.session)?)),
    }
}

/// Exports a session that has just ended, as `cx_export` of the configuration says. What fails is told: the recording
/// itself is done.
pub fn export_ended(config: &Config, session: &SessionId) {
    let store = Store::new(&config.general.data_root);
    let export = || {
        let exporter = Exporter::new(store.clone(), Order::default(), defaults(config));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(write(&exporter, &store.session(session)?))
    };
    if let Err(e) = export() {
        eprintln!("bl: cx_export: {}", sentence(&e));
    }
}

fn defaults(config: &Config) -> Defaults {
    let name = "cx_export.application_name";
    Defaults {
        stage_a: config.cx_export.stage_a.clone(),
        stage_b: config.cx_export.stage_b.clone(),
        window_ns: i64::from(config.pipeline.window_ms) * 1_000_000,
        application: config.cx_export.application_name.clone(),
        is_application_chosen: !matches!(config.origin(name), Origin::Default),
        format: config.cx_export.format.into(),
        folder: config.cx_export.watch_dir.clone(),
    }
}

fn named(store: &Store, name: &str) -> anyhow::Result<Session> {
    if name != "latest" {
        return Ok(store.session(&name.parse()?)?);
    }
    let root = store.data_root().display();
    let none = || format!("there is no session in {root} yet: record one with `bl ingest`");
    store.sessions()?.0.pop().with_context(none)
}

async fn write(exporter: &Exporter, session: &Session) -> anyhow::Result<()> {
    match exporter.export(session).await {
        Ok((path, report)) => {
            tell(&path, &report);
            Ok(())
        }
        Err(wrong) if wrong.is_usage() => Err(usage(wrong.to_string())),
        Err(failed) => Err(failed.into()),
    }
}

/// Exports the session asked for, and then each that ends, until it is told to stop.
async fn follow(exporter: &Exporter, store: &Store, first: &str) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut ended = Ended::from_now(store.clone())?;
    if let Ok(session) = named(store, first) {
        write_or_tell(exporter, &session).await;
    }
    eprintln!("waiting for sessions to end; Ctrl-C to stop");
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_EVERY).await;
        for session in ended.take()? {
            write_or_tell(exporter, &session).await;
        }
    }
    Ok(())
}

/// One session's failure is told and does not keep the next from its file.
async fn write_or_tell(exporter: &Exporter, session: &Session) {
    if let Err(e) = write(exporter, session).await {
        eprintln!("bl: {}: {}", session.id(), sentence(&e));
    }
}

fn tell(path: &Path, report: &Report) {
    let frames = grouped(report.frames);
    match report.dropped {
        0 => eprintln!("{frames} frames in {}", path.display()),
        dropped => {
            eprintln!("{frames} frames, {} dropped, in {}", grouped(dropped), path.display())
        }
    }
    for note in &report.notes {
        eprintln!("note: {note}");
    }
}
