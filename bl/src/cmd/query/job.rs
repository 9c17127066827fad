//! `bl query --job`: the questions that bl knows.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::bail;
use bl_query::Query;
use bl_query::jobs::{FlowStep, JOBS, Job};
use bl_schemas::FRAME_STAGES;

use super::{Args, stages, usage, write};
use crate::config::Config;

/// Asks the job of that name; lists all where it is empty.
pub async fn run(args: &Args, config: &Config, query: &Query, name: &str) -> anyhow::Result<()> {
    if name.is_empty() {
        return list();
    }
    let job = Job::named(name).map_err(|e| usage(e.to_string()))?;
    let mut values = values(args)?;
    let takes = |name: &str| job.parameters().iter().any(|p| p.name == name);
    if takes("stage_a") {
        let seen = stages::seen(query).await?;
        let (a, b) = pair(args, config, &seen)?;
        require([&a, &b], &seen)?;
        values.extend([("stage_a".into(), a), ("stage_b".into(), b)]);
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

/// The stages of the flags, else the first pair of the configuration; where nobody passed that one, those of imported
/// frames.
fn pair(args: &Args, config: &Config, seen: &[String]) -> anyhow::Result<(String, String)> {
    let [start, presented] = FRAME_STAGES.map(str::to_string);
    let frames = (start, presented);
    let is_asked = args.pairs.stage_a.is_some() || args.pairs.stage_b.is_some();
    let configured = args.pairs.options(config)?.pairs.into_iter().next();
    let passed = |(a, b): &(String, String)| is_seen(seen, a) && is_seen(seen, b);
    Ok(match configured {
        Some(pair) if is_asked || passed(&pair) || !passed(&frames) => pair,
        _ => frames,
    })
}

/// The values of `--param`.
fn values(args: &Args) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
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
fn require(stages: [&str; 2], seen: &[String]) -> anyhow::Result<()> {
    if seen.is_empty() {
        bail!("there are no stage events in these sessions: send some, see docs/events.md");
    }
    match stages.iter().find(|stage| !is_seen(seen, stage)) {
        Some(stage) => bail!("no frame ever passed stage '{stage}': there are {}", seen.join(", ")),
        None => Ok(()),
    }
}

fn is_seen(seen: &[String], stage: &str) -> bool {
    seen.iter().any(|s| s == stage)
}

fn steps(config: &Config) -> anyhow::Result<Vec<FlowStep>> {
    let steps = config.flow()?.into_iter();
    let step = steps.map(|s| FlowStep { step: s.id, latency_target_ms: s.latency_target_ms });
    Ok(step.collect())
}
