//! Runs the statements of a SQL file over files: prints the rows of all but the last, and writes those of
//! the last into a Parquet file.
//!
//! `run_sql --table NAME=FILE … -f FILE.sql -o OUT.parquet [--explain]`

use std::error::Error;
use std::path::PathBuf;

use bl_query::file::FileTable;
use bl_query::output::write_parquet;
use bl_query::{Query, Settings};
use datafusion::physical_plan::display::DisplayableExecutionPlan;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut tables: Vec<FileTable> = Vec::new();
    let (mut sql, mut out, mut explain) = (None, None, false);
    let mut settings = Settings::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--explain" {
            explain = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--table" => tables.push(value.parse()?),
            "--batch-rows" => settings.batch_rows = Some(value.parse()?),
            "-f" => sql = Some(std::fs::read_to_string(value)?),
            "-o" => out = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown argument {arg}").into()),
        }
    }
    let query = Query::new(&settings)?;
    for table in &tables {
        query.register_file(table).await?;
    }
    let mut statements = query.statements(&sql.ok_or("-f is missing")?)?;
    let last = statements.pop().ok_or("the file holds no statement")?;
    for statement in statements {
        query.plan(statement).await?.show().await?;
    }
    let written = write_parquet(query.plan(last).await?, &out.ok_or("-o is missing")?).await?;
    if explain {
        let plan = DisplayableExecutionPlan::with_metrics(written.plan.as_ref());
        eprintln!("{} rows\n{}", written.rows, plan.indent(false));
    }
    Ok(())
}
