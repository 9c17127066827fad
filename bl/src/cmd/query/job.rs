//! `bl query --job`: the questions that bl knows.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::bail;
use bl_query::Query;
use bl_query::jobs::{FlowStep, JOBS, Job};

use super::{Args, usage, write};
use crate::config::Config;

/// Asks the job of that name; lists all where it is empty.
pub async fn run(args: &Args, config: &Config, query: &Query, name: &str) -> anyhow::Result<()> {
    if name.is_empty() {
        return list();
    }
    let job = Job::named(name).map_err(|e| usage(e.to_string()))?;
    let values = values(args, config, job)?;
    if let (Some(a), Some(b)) = (values.get("stage_a"), values.get("stage_b")) {
        require_stages(query, &[a, b]).await?;
    }
    query.register_flow(&steps(config)?)?;
    write(args, query.job(job, &values).await?).await
}

fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for job in JOBS {
        writeln!(out, "{}\n    {}", job.name, job.summary())?;
        for parameter in job.parameters() {
            writeln!(out, "    {:<12}{}", parameter.name, parameter.description)?;
        }
    }
    Ok(())
}

/// The stages of the flags or of the configuration, and the values of `--param`, which come first.
fn values(args: &Args, config: &Config, job: &Job) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let options = args.pairs.options(config)?;
    let takes = |name: &str| job.parameters().iter().any(|p| p.name == name);
    if let Some((a, b)) = options.pairs.first().filter(|_| takes("stage_a")) {
        values.insert("stage_a".into(), a.clone());
        values.insert("stage_b".into(), b.clone());
    }
    for param in &args.param {
        let Some((name, value)) = param.split_once('=') else {
            return Err(usage(format!("--param {param}: write it as NAME=VALUE")));
        };
        if matches!(name, "stage_a" | "stage_b") {
            let flag = name.replace('_', "-");
            return Err(usage(format!("--param {param}: write it as --{flag} {value}")));
        }
        values.insert(name.into(), value.into());
    }
    Ok(values)
}

/// Refuses stages that no frame of the sessions ever passed: an empty answer would look like a good one.
async fn require_stages(query: &Query, stages: &[&str]) -> anyhow::Result<()> {
    const SEEN: &str = "SELECT DISTINCT stage FROM pipeline WHERE stage IS NOT NULL";
    let Some(statement) = query.statements(SEEN)?.pop() else { return Ok(()) };
    let mut batches = query.answer(statement).await?.stream().await?;
    let mut seen = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            seen.push(arrow::util::display::array_value_to_string(batch.column(0), row)?);
        }
    }
    if seen.is_empty() {
        bail!("there are no stage events in these sessions: send some, see docs/events.md");
    }
    seen.sort();
    match stages.iter().find(|stage| !seen.iter().any(|s| s == **stage)) {
        Some(stage) => bail!("no frame ever passed stage '{stage}': there are {}", seen.join(", ")),
        None => Ok(()),
    }
}

fn steps(config: &Config) -> anyhow::Result<Vec<FlowStep>> {
    let steps = config.flow()?.into_iter();
    let step = steps.map(|s| FlowStep { step: s.id, latency_target_ms: s.latency_target_ms });
    Ok(step.collect())
}
