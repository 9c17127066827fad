//! `bl doctor`: what this machine has and lacks.

use std::io::{IsTerminal, Write};
use std::path::Path;

use bl_ingest::doctor::{self, Finding, State};
use bl_ingest::serial::{Roots, Selector};
use bl_ingest::source::Stop;
use bl_store::{Store, repair};

use super::ingest::sources;
use crate::config::{Config, GpuProvider, Origin, Sources};

/// Arguments of `bl doctor`.
///
/// It changes nothing but with --store. The exit code is 1 if something that the configuration asks for cannot work.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Examine the store instead: make up session.json from the rows where it is damaged or missing, so that queries find the
    /// session again.
    #[arg(long, conflicts_with = "json")]
    store: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `bl doctor`; returns whether everything that was asked for can work.
pub fn run(args: &Args, sources: &Sources<'_>) -> anyhow::Result<bool> {
    let config = Config::load(sources)?;
    let mut out = std::io::stdout().lock();
    if args.store {
        return mend(&mut out, &Store::new(&config.general.data_root));
    }
    let findings = examine(&config)?;
    match args.json {
        true => {
            serde_json::to_writer_pretty(&mut out, &findings)?;
            writeln!(out)?;
        }
        false => show(&mut out, &findings, std::io::stdout().is_terminal())?,
    }
    Ok(findings.iter().all(|f| f.state != State::Broken))
}

/// Mends the sessions that cannot be opened; returns whether all can be now.
fn mend(out: &mut impl Write, store: &Store) -> anyhow::Result<bool> {
    let ids = store.session_ids()?;
    let (mut mended, mut broken) = (0, 0);
    for id in &ids {
        let Err(wrong) = store.session(id) else { continue };
        writeln!(out, "{id}: {wrong}")?;
        match repair(&store.dir(id)).and_then(|done| store.session(id).map(|_| done)) {
            Ok(done) => {
                mended += 1;
                done.mended.iter().try_for_each(|line| writeln!(out, "  mended: {line}"))?;
                done.failed.iter().try_for_each(|line| writeln!(out, "  failed: {line}"))?;
            }
            Err(e) => {
                broken += 1;
                writeln!(out, "  cannot be mended: {e}")?;
            }
        }
    }
    let all = ids.len();
    writeln!(
        out,
        "{all} sessions: {mended} mended, {broken} broken; bl verify compares their files"
    )?;
    Ok(broken == 0)
}

fn examine(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let root = Path::new("/");
    let is_asked = |key: &str| !matches!(config.origin(key), Origin::Default);
    let mut findings = Vec::new();
    if config.benchlab.enabled {
        let selectors = config.benchlab.device.iter().map(|d| d.parse());
        let selectors: Vec<Selector> = selectors.collect::<Result<_, _>>()?;
        findings.extend(doctor::boards(&Roots::default(), &selectors, &Stop::new()?));
        findings.push(doctor::permission(root));
    }
    findings.extend(services(config, &Stop::new()?));
    findings.push(doctor::host(root));
    if config.gpu.enabled {
        findings.extend(gpus(config, root));
    }
    if config.cpu.enable_rapl {
        findings.push(doctor::rapl(root, is_asked("cpu.enable_rapl")));
    }
    if config.hwmon.enabled {
        findings.push(doctor::sensors(root, is_asked("hwmon.enabled")));
    }
    let plugin_folder = std::env::var_os("BL_GST_PLUGIN_DIR").map(std::path::PathBuf::from);
    findings.extend(doctor::gstreamer(&std::env::current_exe()?, plugin_folder.as_deref()));
    findings.extend([
        doctor::events_socket(&config.pipeline.events),
        doctor::data_root(&config.general.data_root),
        doctor::free_space(&config.general.data_root),
        doctor::clock_source(root),
        doctor::clock_sync(),
    ]);
    if config.web.enabled {
        findings.push(doctor::listen("page", config.web.bind.0));
    }
    if config.prometheus.enabled {
        findings.push(doctor::listen("metrics", config.prometheus.bind.0));
    }
    Ok(findings)
}

/// The cards of each vendor that is to be sampled.
fn gpus(config: &Config, root: &Path) -> Vec<Finding> {
    let provider = &config.gpu.provider;
    let wants = |p: GpuProvider| *provider == GpuProvider::Auto || *provider == p;
    let is_asked = *provider != GpuProvider::Auto;
    let found = [
        wants(GpuProvider::Nvml).then(|| doctor::nvidia(root, is_asked)),
        wants(GpuProvider::Amd).then(|| doctor::amd(root, is_asked)),
        wants(GpuProvider::Intel).then(|| doctor::intel(root, is_asked)),
    ];
    let chosen = doctor::chosen_cards(root, &sources::chosen_cards(config));
    found.into_iter().flatten().chain(chosen).collect()
}

/// The servers of other programs that boards are read from.
fn services(config: &Config, stop: &Stop) -> Vec<Finding> {
    let found = [
        sources::kit_options(config).map(|options| doctor::support_kit(&options, stop)),
        config.benchlab_sdk.fastapi_endpoint.as_deref().map(|url| doctor::pytools(url, stop)),
        sources::mqtt_options(config).map(|options| doctor::broker(&options, stop)),
    ];
    found.into_iter().flatten().collect()
}

/// One line a subject, and below it what mends it.
fn show(out: &mut impl Write, findings: &[Finding], is_terminal: bool) -> std::io::Result<()> {
    let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none();
    let width = findings.iter().map(|f| f.subject.len()).max().unwrap_or(0);
    for Finding { subject, state, text, remedy } in findings {
        let (mark, colour) = match state {
            State::Works => ("ok", "32"),
            State::Absent => ("-", "2"),
            State::Limited => ("!", "33"),
            State::Broken => ("FAIL", "31"),
        };
        let (on, off) = match is_coloured {
            true => (format!("\x1b[{colour}m"), "\x1b[0m"),
            false => (String::new(), ""),
        };
        writeln!(out, "{on}{mark:<4}{off}  {subject:<width$}  {text}")?;
        if let Some(remedy) = remedy {
            writeln!(out, "      {:<width$}  try: {remedy}", "")?;
        }
    }
    Ok(())
}
