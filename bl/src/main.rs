//! `bl`: what every frame cost in time and energy.

mod cmd;
mod config;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cmd::UsageError;

/// What every frame cost, in time and in energy.
///
/// Record with `bl ingest`, ask with `bl query`, hand on with `bl export`.
#[derive(Parser)]
#[command(name = "bl", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// Configuration file (default: $BENCHLAB_CONFIG, else /etc/benchlab/config.toml).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where sessions are kept (default: general.data_root of the configuration).
    #[arg(long, global = true, value_name = "DIR")]
    data_root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Record: boards, the host, stage events of pipelines.
    Ingest(cmd::ingest::Args),
    /// Run a command, such as gst-launch-1.0, and record when frames pass its GStreamer pads.
    Probe(cmd::probe::Args),
    /// Show what happens now and what happened: the page, JSON, metrics for Prometheus.
    Serve(cmd::serve::Args),
    /// Ask in SQL, over every session, also one that is being recorded.
    Query(cmd::query::Args),
    /// List sessions, or show one.
    Sessions(cmd::sessions::Args),
    /// Tell whether every file of the store is as it was written, and mend what can be mended.
    Verify(cmd::verify::Args),
    /// Compute what each frame cost, and keep it as table latency.
    Align(cmd::align::Args),
    /// Write files for other programs: CapFrameX.
    Export(cmd::export::Args),
    /// Bring recordings and frame logs of other tools into the store.
    Import(cmd::import::Args),
    /// Write a mark into the session that is being recorded.
    Mark(cmd::mark::Args),
    /// List BENCHLAB boards, or emulate one.
    Device(cmd::device::Args),
    /// Tell what this machine has and lacks for a recording, and what mends it.
    Doctor(cmd::doctor::Args),
    /// Show, explain and check the configuration.
    Config(cmd::config::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut flags = config::Overrides::default();
    flags.set("--data-root", "general.data_root", cli.data_root.as_ref().map(|p| p.display()));
    let sources = config::Sources::of_process(cli.config, flags);
    let done = match cli.command {
        Command::Ingest(args) => cmd::ingest::run(args, sources),
        Command::Probe(args) => match cmd::probe::run(args, sources) {
            Ok(code) => return ExitCode::from(code),
            Err(e) => Err(e),
        },
        Command::Doctor(args) => match cmd::doctor::run(&args, &sources) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(e) => Err(e),
        },
        Command::Verify(args) => match cmd::verify::run(&args, &sources) {
            Ok(code) => return ExitCode::from(code),
            Err(e) => Err(e),
        },
        Command::Serve(args) => cmd::serve::run(args, sources),
        Command::Query(args) => cmd::query::run(args, sources),
        Command::Sessions(args) => cmd::sessions::run(&args, &sources),
        Command::Align(args) => cmd::align::run(&args, &sources),
        Command::Export(args) => cmd::export::run(args, &sources),
        Command::Import(args) => cmd::import::run(args, &sources),
        Command::Mark(args) => cmd::mark::run(&args, &sources),
        Command::Device(args) => cmd::device::run(args),
        Command::Config(args) => cmd::config::run(&args, sources),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if terminal::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            match e.downcast_ref::<config::ConfigError>() {
                // A line for each problem, with its own place.
                Some(problems) => eprintln!("{problems}"),
                None => eprintln!("bl: {}", terminal::sentence(&e)),
            }
            ExitCode::from(exit_code(&e))
        }
    }
}

/// 2 where the call was wrong, 1 where the work failed.
fn exit_code(e: &anyhow::Error) -> u8 {
    let usage = e.chain().any(|cause| {
        cause.is::<config::ConfigError>()
            || cause.is::<UsageError>()
            || cause.is::<bl_store::NameError>()
    });
    if usage { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_and_their_flags_fit_together() {
        Cli::command().debug_assert();
    }
}
