//! `bl doctor`: what this machine has and lacks.

use std::io::{IsTerminal, Write};
use std::path::Path;

use bl_ingest::doctor::{self, Finding, State};
use bl_ingest::serial::{Roots, Selector};
use bl_ingest::source::Stop;

use crate::config::{Config, GpuProvider, Origin, Sources};

/// Arguments of `bl doctor`.
///
/// It changes nothing. The exit code is 1 if something that the configuration asks for cannot work.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `bl doctor`; returns whether everything that was asked for can work.
pub fn run(args: &Args, sources: &Sources<'_>) -> anyhow::Result<bool> {
    let findings = examine(&Config::load(sources)?)?;
    let mut out = std::io::stdout().lock();
    match args.json {
        true => {
            serde_json::to_writer_pretty(&mut out, &findings)?;
            writeln!(out)?;
        }
        false => show(&mut out, &findings, std::io::stdout().is_terminal())?,
    }
    Ok(findings.iter().all(|f| f.state != State::Broken))
}

fn examine(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let root = Path::new("/");
    let is_asked = |key: &str| !matches!(config.origin(key), Origin::Default);
    let mut findings = Vec::new();
    if config.benchlab.enabled {
        let selectors = config.benchlab.device.iter().map(|d| d.parse());
        let selectors: Vec<Selector> = selectors.collect::<Result<_, _>>()?;
        findings.extend(doctor::boards(&Roots::default(), &selectors, &Stop::new()?));
    }
    findings.extend(services(config));
    if config.gpu.enabled {
        findings.push(doctor::nvidia(root, config.gpu.provider == GpuProvider::Nvml));
        findings.push(doctor::cards(root));
    }
    if config.cpu.enable_rapl {
        findings.push(doctor::rapl(root, is_asked("cpu.enable_rapl")));
    }
    if config.hwmon.enabled {
        findings.push(doctor::sensors(root));
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

/// The servers of other programs that boards are read from.
fn services(config: &Config) -> Vec<Finding> {
    let sdk = &config.benchlab_sdk;
    let http = |subject, url: &Option<String>| {
        url.as_deref().map(|url| doctor::service(subject, &authority(url)))
    };
    let found = [
        http("support kit", &sdk.http_endpoint),
        http("pytools server", &sdk.fastapi_endpoint),
        sdk.mqtt_broker.as_deref().map(|broker| doctor::service("MQTT broker", broker)),
    ];
    found.into_iter().flatten().collect()
}

/// Host and port of a URL, which the configuration has checked.
fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    if host.contains(':') { host.to_owned() } else { format!("{host}:80") }
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
