//! `bl export cx`: frames for CapFrameX.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bl_export::cx::{
    CxError, Format, Metric, Report, Request, Source, StagePair, StagedFile, file_name, write_csv,
    write_json,
};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_schemas::FRAME_STAGES;
use bl_store::{Session, SessionId, Store};
use clap::ValueEnum;

use super::super::query::stages;
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

/// Runs `bl export cx`.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let export = Export { store: Store::new(&config.general.data_root), args, config };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if export.args.follow {
        return runtime.block_on(export.follow());
    }
    let session = export.session()?;
    runtime.block_on(export.write(&session))
}

/// Exports a session that has just ended, as `cx_export` of the configuration says. What fails is told: the recording
/// itself is done.
pub fn export_ended(config: &Config, session: &SessionId) {
    let args = Args {
        session: session.to_string(),
        stage_a: None,
        stage_b: None,
        pipeline: None,
        log: None,
        application: None,
        device: None,
        format: None,
        metric: MetricName::Latency,
        output: None,
        watch_dir: None,
        follow: false,
    };
    if let Err(e) = run(args, config) {
        eprintln!("bl: cx_export: {}", sentence(&e));
    }
}

struct Export<'a> {
    store: Store,
    args: Args,
    config: &'a Config,
}

impl Export<'_> {
    fn session(&self) -> anyhow::Result<Session> {
        if self.args.session != "latest" {
            return Ok(self.store.session(&self.args.session.parse()?)?);
        }
        let root = self.store.data_root().display();
        let none = || format!("there is no session in {root} yet: record one with `bl ingest`");
        self.store.sessions()?.0.pop().with_context(none)
    }

    async fn write(&self, session: &Session) -> anyhow::Result<()> {
        let request = self.request(session).await?;
        let (path, format) = self.target(session, &request)?;
        let failed = |e: std::io::Error| anyhow::Error::new(CxError::Write(e));
        let mut file = StagedFile::create(&path).map_err(failed)?;
        let report = match format {
            Format::Csv => write_csv(&self.store, session, &request, &mut file).await,
            Format::Json => write_json(&self.store, session, &request, &mut file).await,
        };
        let report = report.map_err(told)?;
        file.appear().map_err(failed)?;
        tell(&path, &report);
        Ok(())
    }

    async fn request(&self, session: &Session) -> anyhow::Result<Request> {
        let Self { args, config, .. } = self;
        let metric = match args.metric {
            MetricName::Latency => Metric::Latency,
            MetricName::Interval => Metric::Interval,
        };
        let source = match &args.log {
            Some(log) => Source::Log(Some(log.clone())),
            None if self.is_frame_log(session, metric).await? => Source::Log(None),
            None => Source::Stages(StagePair {
                stage_a: args.stage_a.clone().unwrap_or_else(|| config.cx_export.stage_a.clone()),
                stage_b: args.stage_b.clone().unwrap_or_else(|| config.cx_export.stage_b.clone()),
                pipeline: args.pipeline.clone(),
                window_ns: i64::from(config.pipeline.window_ms) * 1_000_000,
                metric,
            }),
        };
        // A log's own name goes before a default that nobody chose.
        let is_chosen = !matches!(config.origin("cx_export.application_name"), Origin::Default);
        let name = match (&args.application, &source) {
            (Some(name), _) => Some(name),
            (None, Source::Log(_)) if !is_chosen => None,
            (None, _) => Some(&config.cx_export.application_name),
        };
        let application = name.map(|name| name.parse()).transpose().map_err(told)?;
        Ok(Request { source, application, board: args.device.clone() })
    }

    /// Whether a session has frames of its own and no stages but theirs, and none was asked for.
    async fn is_frame_log(&self, session: &Session, metric: Metric) -> anyhow::Result<bool> {
        let is_asked = self.args.stage_a.is_some() || self.args.stage_b.is_some();
        if is_asked || !session.tables()?.iter().any(|table| table == "frames") {
            return Ok(false);
        }
        let query = Query::new(&Settings::default())?;
        let only = SessionFilter::Named(vec![session.id().clone()]);
        query.register_store(self.store.clone(), only)?;
        let seen = stages::seen(&query).await?;
        let is_log = seen.iter().all(|stage| FRAME_STAGES.contains(&stage.as_str()));
        if is_log && metric == Metric::Latency {
            return Err(usage(format!(
                "session {} has no stage events, but an imported frame log: add --metric interval",
                session.id()
            )));
        }
        Ok(is_log)
    }

    /// The file and its form.
    fn target(&self, session: &Session, request: &Request) -> anyhow::Result<(PathBuf, Format)> {
        let form = |format| match format {
            CxFormat::Csv => Format::Csv,
            CxFormat::Json => Format::Json,
        };
        let asked = self.args.format.map(form);
        if let Some(path) = &self.args.output {
            let format = Format::of_file(path).map_err(told)?;
            if asked.is_some_and(|asked| asked != format) {
                let (path, ending) = (path.display(), asked.unwrap_or(format).extension());
                return Err(usage(format!(
                    "-o {path}: with --format {ending} it must end in .{ending}"
                )));
            }
            return Ok((path.clone(), format));
        }
        let format = asked.unwrap_or_else(|| form(self.config.cx_export.format));
        let watched =
            self.args.watch_dir.clone().or_else(|| self.config.cx_export.watch_dir.clone());
        let folder = watched.unwrap_or_else(|| session.dir().path().join("cx-export"));
        Ok((folder.join(file_name(session.id().as_str(), request, format)), format))
    }

    /// Exports the session asked for, and then each that ends, until it is told to stop.
    async fn follow(&self) -> anyhow::Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let is_done = |session: &Session| !session.is_live();
        let mut done: HashSet<SessionId> = HashSet::new();
        for session in self.store.sessions()?.0.iter().filter(|session| is_done(session)) {
            done.insert(session.id().clone());
        }
        if let Ok(session) = self.session() {
            self.write_or_tell(&session).await;
        }
        eprintln!("waiting for sessions to end; Ctrl-C to stop");
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK_EVERY).await;
            for session in self.store.sessions()?.0.iter().filter(|session| is_done(session)) {
                if done.insert(session.id().clone()) {
                    self.write_or_tell(session).await;
                }
            }
        }
        Ok(())
    }

    /// One session's failure is told and does not keep the next from its file.
    async fn write_or_tell(&self, session: &Session) {
        if let Err(e) = self.write(session).await {
            eprintln!("bl: {}: {}", session.id(), sentence(&e));
        }
    }
}

/// A wrong call as such.
fn told(error: CxError) -> anyhow::Error {
    match error.is_usage() {
        true => usage(error.to_string()),
        false => error.into(),
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
