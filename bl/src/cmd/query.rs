//! `bl query`: ask in SQL.

mod job;
mod memory;
mod prompt;
pub mod stages;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use bl_export::table::{FORMATS, TableError, TableFormat};
use bl_query::tables::SessionFilter;
use bl_query::{Answer, FileTable, Query, Runtime, Settings};
use bl_store::Store;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::align::PairArgs;
use super::usage;
use crate::config::{Config, Sources};

/// Arguments of `bl query`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The question, such as "SELECT avg(sys_w) FROM benchlab"; without one, on a terminal, a prompt opens.
    #[arg(conflicts_with = "file")]
    pub(super) sql: Option<String>,
    /// Read the SQL from a file ('-' for standard input).
    #[arg(short, long, value_name = "FILE.sql")]
    pub(super) file: Option<PathBuf>,
    /// Only this session, or 'latest'; may be repeated (default: all).
    #[arg(long, value_name = "NAME")]
    pub(super) session: Vec<String>,
    /// Ask a job of bl by its name; without a name, list them with their parameters.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["sql", "file"])]
    pub(super) job: Option<String>,
    /// A parameter of the job; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", requires = "job", conflicts_with_all = ["sql", "file"])]
    pub(super) param: Vec<String>,
    #[command(flatten)]
    pub(super) pairs: PairArgs,
    /// A Parquet or CSV file as a further table; may be repeated.
    #[arg(long, value_name = "NAME=FILE")]
    pub(super) table: Vec<String>,
    /// Memory that the query may take, such as "2 GiB"; what sorts and groups need beyond it goes to disk (default: half
    /// of the machine's).
    #[arg(long, value_name = "SIZE", value_parser = memory::size)]
    pub(super) memory: Option<usize>,
    /// Form of the result (default: table on a terminal and for -o by the file's ending, else csv).
    #[arg(long, value_name = "FORM", value_parser = forms())]
    pub(super) format: Option<&'static TableFormat>,
    /// Write the result to a file, which appears only when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

/// The forms of a table, by their names.
fn forms() -> impl TypedValueParser<Value = &'static TableFormat> {
    let names = FORMATS.iter().map(|format| format.name);
    PossibleValuesParser::new(names)
        .try_map(|name| TableFormat::named(&name).ok_or("there is no form of that name"))
}

/// Runs `bl query`.
pub fn run(args: Args, sources: Sources<'static>) -> anyhow::Result<()> {
    answer(&args, &Config::load(&sources)?)
}

/// Answers the question of `args`.
pub(super) fn answer(args: &Args, config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(ask(args, config))
}

async fn ask(args: &Args, config: &Config) -> anyhow::Result<()> {
    let store = Store::new(&config.general.data_root);
    let runtime = match args.memory.or_else(memory::half_of_machine) {
        Some(bytes) => Runtime::limited(bytes)?,
        None => Runtime::unlimited()?,
    };
    let query = Query::new(&Settings { runtime: Some(runtime), ..Settings::default() })?;
    let latency = args.pairs.options(config)?;
    query.register_store_with(store, filter(&args.session)?, latency)?;
    for table in &args.table {
        let table: FileTable = table.parse().map_err(|e| usage(format!("--table {table}: {e}")))?;
        query.register_file(&table).await?;
    }
    if let Some(name) = &args.job {
        return job::run(args, config, &query, name).await;
    }
    let sql = match (&args.sql, &args.file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(path)) if path.as_os_str() == "-" => std::io::read_to_string(std::io::stdin())?,
        (None, Some(path)) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?,
        (None, None) if std::io::stdin().is_terminal() => return prompt::run(&query).await,
        (None, None) => std::io::read_to_string(std::io::stdin())?,
    };
    let mut statements = query.statements(&sql)?;
    let Some(last) = statements.pop() else {
        return Err(usage("there is no SQL to run: try bl query \"SHOW TABLES\""));
    };
    for statement in statements {
        query.answer(statement).await?.drain().await?;
    }
    write(args, query.answer(last).await?).await
}

async fn write(args: &Args, answer: Answer) -> anyhow::Result<()> {
    if let Some(effect) = answer.effect() {
        eprintln!("bl: {effect}");
        return answer.drain().await.map_err(anyhow::Error::new);
    }
    let is_terminal = args.output.is_none() && std::io::stdout().is_terminal();
    let fallback = if is_terminal { "table" } else { "csv" };
    let of_file = || args.output.as_deref().and_then(TableFormat::of_file);
    let format = args.format.or_else(of_file).or_else(|| TableFormat::named(fallback));
    let format = format.context("this form cannot be written")?;
    match &args.output {
        None if !format.is_stream => {
            Err(usage(format!("{0} goes to a file: add -o FILE.{0}", format.name)))
        }
        None => format.write(answer, std::io::stdout()).await.map_err(told),
        Some(path) => match format.write_file(answer, path).await {
            Err(TableError::Write(e)) => {
                Err(e).with_context(|| format!("cannot write {}", path.display()))
            }
            other => other.map(|_| ()).map_err(told),
        },
    }
}

/// An error of the output as such, so that a closed pipe is seen as one.
fn told(error: TableError) -> anyhow::Error {
    match error {
        TableError::Write(error) => error.into(),
        other => other.into(),
    }
}

fn filter(names: &[String]) -> anyhow::Result<SessionFilter> {
    match names {
        [] => Ok(SessionFilter::All),
        [one] if one == "latest" => Ok(SessionFilter::Latest),
        many => Ok(SessionFilter::Named(many.iter().map(|n| n.parse()).collect::<Result<_, _>>()?)),
    }
}
