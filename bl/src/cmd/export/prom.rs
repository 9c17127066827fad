//! `bl export prom`: one snapshot of the metrics.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use bl_export::StagedFile;
use bl_serve::prometheus::{Format, snapshot};
use clap::ValueEnum;

use super::super::serve;
use crate::config::Config;

/// Arguments of `bl export prom`.
///
/// It tells what `bl serve` would at this moment. node_exporter's textfile collector reads such files:
/// `bl export prom -o /var/lib/prometheus/node-exporter/bl.prom`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write, which appears only when it is complete (default: standard output).
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// text: as Prometheus and the textfile collector read it; openmetrics: OpenMetrics 1.0.0.
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Text,
    Openmetrics,
}

/// Runs `bl export prom`.
///
/// # Errors
/// When the store cannot be read or the file not be written.
pub fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let format = match args.format {
        FormatName::Text => Format::Classic,
        FormatName::Openmetrics => Format::OpenMetrics,
    };
    let metrics = snapshot(serve::feed_options(config)?, &serve::metric_options(config), format)?;
    let Some(path) = args.output else {
        return Ok(std::io::stdout().write_all(metrics.as_bytes())?);
    };
    let write = || {
        let mut file = StagedFile::create(&path)?;
        file.write_all(metrics.as_bytes())?;
        file.appear()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
