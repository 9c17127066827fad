//! `bl import`: recordings and frame logs of other tools.

mod align_to;
mod frames;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use bl_ingest::import::{Content, ImportReport, estimate_time, import_jsonl};
use bl_store::clock::Anchor;
use bl_store::{Import, Manifest, SessionId, SessionSpec, SessionWriter, Store, WriteOptions};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::usage;
use crate::config::{Config, Sources};

use frames::{Log, MangoHudLog, PresentMonLog};

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
    Mangohud(MangoHudLog),
    /// CSV files of PresentMon, 1.x and 2.x, and of tools that write its columns, such as OCAT.
    Presentmon(PresentMonLog),
    /// Records of CapFrameX, JSON.
    Capframex(Log),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// The session to import into; one that was imported before is appended to.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Lines that may be refused; with more of them the exit code is 1, though all others are imported.
    #[arg(long, value_name = "N", default_value_t = 0)]
    allow_bad: u64,
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs `bl import`.
pub fn run(args: Args, sources: &Sources<'_>) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    match args.command {
        Command::Jsonl(files) => jsonl(&files, &config),
        Command::Mangohud(log) => frames::run_mangohud(&log, &config),
        Command::Presentmon(log) => frames::run_presentmon(&log, &config),
        Command::Capframex(log) => frames::run_capframex(&log, &config),
    }
}

fn jsonl(files: &Files, config: &Config) -> anyhow::Result<()> {
    let name = session_name(files)?;
    let mut past = Past::of(&Store::new(&config.general.data_root), &name);
    let (mut new, mut imports) = (Vec::new(), Vec::new());
    for file in &files.files {
        let import = import_of(file, "jsonl", Content::of(file)?);
        if past.is_new(file, &import) {
            new.push(file.clone());
            imports.push(import);
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let time = estimate_time(&new, name.as_str())?;
    let (first, last) = (time.anchor.ts(time.first_ns), time.anchor.ts(time.last_ns));
    let basis = format!("{:?}", time.basis);
    let writer = begin(config, name, time.anchor, &basis)?;
    let bar = progress();
    let report = import_jsonl(&new, &writer, &mut |lines| bar.set_position(lines))?;
    bar.finish_and_clear();
    end(&writer, &report, first..last, imports)?;
    judge(&report, files.allow_bad)
}

/// What was imported into a session before.
struct Past(Vec<Import>);

impl Past {
    fn of(store: &Store, id: &SessionId) -> Self {
        Self(store.session(id).map(|s| s.manifest().imports.clone()).unwrap_or_default())
    }

    /// Whether a file has not been imported yet, which it then counts as. Says so if it has: its rows would be doubled.
    fn is_new(&mut self, file: &Path, import: &Import) -> bool {
        let Some(before) = self.0.iter().find(|before| before.is_same(import)) else {
            self.0.push(import.clone());
            return true;
        };
        let process = before.process.as_ref().map(|process| format!(", process {process}"));
        eprintln!(
            "{}: the session has it already, as {}{}; it is not imported again",
            file.display(),
            before.file,
            process.unwrap_or_default()
        );
        false
    }
}

fn import_of(file: &Path, source: &str, content: Content) -> Import {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let Content { sha256, bytes } = content;
    Import {
        file: name,
        source: source.into(),
        sha256,
        bytes,
        process: None,
        first_frame: None,
        info: Default::default(),
    }
}

/// An import that refuses rows has failed, unless it may refuse as many.
fn judge(report: &ImportReport, allow_bad: u64) -> anyhow::Result<()> {
    let bad = report.bad;
    if bad > allow_bad {
        bail!(
            "{bad} lines were refused; all others are imported (to have that pass: --allow-bad {bad})"
        );
    }
    Ok(())
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
    imports: Vec<Import>,
) -> anyhow::Result<()> {
    writer.flush()?;
    writer.update(|m| {
        m.imports.extend(imports);
        m.started_ns = m.started_ns.min(range.start);
        m.ended_ns = Some(m.ended_ns.unwrap_or(range.end).max(range.end));
    })?;
    summarise(&writer.finish()?, report);
    Ok(())
}

/// Says what was imported, and what to try next.
fn summarise(manifest: &Manifest, report: &ImportReport) {
    eprintln!("{report}");
    let rows: BTreeMap<_, _> = report.rows.iter().filter(|(_, n)| **n > 0).collect();
    match rows.keys().next() {
        Some(&&"frames") => eprintln!("try: bl query --session {} --job stats", manifest.id),
        table => {
            let table = table.map_or("sessions", |t| t);
            eprintln!("try: bl query --session {} \"SELECT count(*) FROM {table}\"", manifest.id);
        }
    }
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} lines ({per_sec})") {
        bar.set_style(style);
    }
    bar
}
