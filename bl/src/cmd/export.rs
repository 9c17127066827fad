//! `bl export`: files for other programs.

pub(super) mod cx;
mod prom;

use std::path::PathBuf;

use bl_export::table::TableFormat;
use clap::Subcommand;

use super::align::PairArgs;
use super::query;
use crate::config::{Config, Sources};

/// Arguments of `bl export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Frames for CapFrameX, which picks them up from a folder that it watches.
    Cx(cx::Args),
    /// One snapshot of the metrics for Prometheus, such as node_exporter's textfile collector reads.
    Prom(prom::Args),
    /// The answer to a question in SQL, or of a job, as CSV.
    Csv(Question),
    /// The answer to a question in SQL, or of a job, as JSON: one array of objects.
    Json(Question),
    /// The answer to a question in SQL, or of a job, as Parquet.
    Parquet(Question),
}

/// As of `bl query`.
#[derive(Debug, clap::Args)]
struct Question {
    /// The question, such as "SELECT * FROM benchlab".
    #[arg(conflicts_with = "file", required_unless_present_any = ["file", "job"])]
    sql: Option<String>,
    /// Read the SQL from a file ('-' for standard input).
    #[arg(short, long, value_name = "FILE.sql")]
    file: Option<PathBuf>,
    /// Only this session, or 'latest'; may be repeated (default: all).
    #[arg(long, value_name = "NAME")]
    session: Vec<String>,
    /// Ask a job of bl by its name (`bl query --job` lists them).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["sql", "file"])]
    job: Option<String>,
    /// A parameter of the job; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", requires = "job", conflicts_with_all = ["sql", "file"])]
    param: Vec<String>,
    #[command(flatten)]
    pairs: PairArgs,
    /// The file to write, which appears only when it is complete (default: standard output).
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `bl export`.
pub fn run(args: Args, sources: &Sources<'_>) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let (question, format) = match args.command {
        Command::Cx(args) => return cx::run(args, &config),
        Command::Prom(args) => return prom::run(args, &config),
        Command::Csv(question) => (question, "csv"),
        Command::Json(question) => (question, "json"),
        Command::Parquet(question) => (question, "parquet"),
    };
    let Question { sql, file, session, job, param, pairs, output } = question;
    let args = query::Args {
        sql,
        file,
        session,
        output,
        format: TableFormat::named(format),
        memory: None,
        table: Vec::new(),
        pairs,
        job,
        param,
    };
    query::answer(&args, &config)
}
