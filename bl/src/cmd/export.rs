//! `bl export`: files for other programs.

use crate::config::Sources;

/// Arguments of `bl export`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bl export`.
pub fn run(_args: Args, _sources: &Sources<'_>) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
