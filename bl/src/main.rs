//! `bl`: what every frame cost in time and energy.

mod cmd;
// Until every subcommand takes its values from there.
#[allow(dead_code)]
mod config;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bl", version, about)]
struct Cli {
    /// Configuration file (default: $BENCHLAB_CONFIG, else /etc/benchlab/config.toml).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show, explain and check the configuration.
    Config(cmd::config::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let sources = config::Sources::of_process(cli.config, config::Overrides::default());
    let done = match &cli.command {
        Command::Config(args) => cmd::config::run(args, sources),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::from(if e.is::<config::ConfigError>() { 2 } else { 1 })
        }
    }
}
