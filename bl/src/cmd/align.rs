//! `bl align`: compute what each frame cost, and keep it.

use anyhow::bail;
use bl_query::latency::{Aligned, AlignedPair, Lag, LatencyOptions, Method, align};
use bl_query::tables::SessionFilter;
use bl_store::Store;
use clap::ValueEnum;

use super::usage;
use crate::config::{Config, Sources};
use crate::terminal::grouped;

/// Arguments of `bl align`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session, 'latest' or 'all'; may be repeated.
    #[arg(long, value_name = "NAME", default_value = "latest")]
    session: Vec<String>,
    #[command(flatten)]
    pairs: PairArgs,
}

/// Which pairs of stages, and how they are paired.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PairArgs {
    /// The stage where frames begin (default: pipeline.pairs of the configuration).
    #[arg(long, value_name = "STAGE")]
    pub stage_a: Option<String>,
    /// The stage where they end.
    #[arg(long, value_name = "STAGE")]
    pub stage_b: Option<String>,
    /// Milliseconds after which a frame counts as dropped (default: pipeline.window_ms).
    #[arg(long, value_name = "MS")]
    pub window_ms: Option<u32>,
    /// Milliseconds that a power sample may be away from an event (default: 200).
    #[arg(long, value_name = "MS")]
    pub tolerance_ms: Option<u32>,
    /// UID of the board whose power counts (default: the one with the session's first sample).
    #[arg(long, value_name = "UID")]
    pub device: Option<String>,
    /// What is made of the meter's lag, where an ended session tells it for certain.
    #[arg(long, value_enum, default_value = "apply")]
    pub lag: LagName,
}

/// See [`Lag`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LagName {
    /// Samples are taken for what was so long before.
    #[default]
    Apply,
    /// Samples are taken as they are stamped.
    Ignore,
}

impl PairArgs {
    /// The pairs that are asked for. Where only one stage is given, the other is the configured one.
    pub fn options(&self, config: &Config) -> anyhow::Result<LatencyOptions> {
        let pipeline = &config.pipeline;
        let pairs = match (&self.stage_a, &self.stage_b) {
            (None, None) => pipeline.pairs.clone(),
            (a, b) => vec![(
                a.clone().unwrap_or_else(|| pipeline.stage_a.clone()),
                b.clone().unwrap_or_else(|| pipeline.stage_b.clone()),
            )],
        };
        if let Some((stage, _)) = pairs.iter().find(|(a, b)| a == b) {
            return Err(usage(format!("stage {stage:?} cannot be paired with itself: name two")));
        }
        let ns = |ms: u32| i64::from(ms) * 1_000_000;
        let default = Method::default();
        let method = Method {
            window_ns: ns(self.window_ms.unwrap_or(pipeline.window_ms)),
            tolerance_ns: self.tolerance_ms.map_or(default.tolerance_ns, ns),
            device: self.device.clone(),
            lag: match self.lag {
                LagName::Apply => Lag::Apply,
                LagName::Ignore => Lag::Ignore,
            },
        };
        Ok(LatencyOptions { pairs, method })
    }
}

/// Runs `bl align`.
pub fn run(args: &Args, sources: &Sources<'_>) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let options = args.pairs.options(&config)?;
    let store = Store::new(&config.general.data_root);
    let sessions = filter(&args.session)?.sessions(&store)?;
    if sessions.is_empty() {
        let root = store.data_root().display();
        bail!("there is no session in {root} to align: record one with `bl ingest`");
    }
    let (mut failures, mut aligned) = (0, 0);
    for session in &sessions {
        match align(session, &options) {
            Ok(done) => {
                aligned += done.pairs.iter().filter(|pair| pair.unseen.is_empty()).count();
                done.pairs.iter().for_each(|pair| report(&done, pair));
            }
            Err(e) if sessions.len() == 1 => return Err(e.into()),
            Err(e) => {
                eprintln!("bl: {}: {e}", session.id());
                failures += 1;
            }
        }
    }
    match (failures, aligned) {
        (0, 0) => bail!(
            "no frame was aligned: the stages were never seen. \
             `bl query \"SELECT DISTINCT stage FROM pipeline\"` lists those that were"
        ),
        (0, _) => Ok(()),
        (n, _) => bail!("{n} of {} sessions could not be aligned", sessions.len()),
    }
}

/// One line a pair.
fn report(done: &Aligned, pair: &AlignedPair) {
    let name = format!("{} {} -> {}", done.session, pair.stage_a, pair.stage_b);
    let more = if done.live { " so far" } else { "" };
    match &pair.unseen[..] {
        [] if pair.rows == 0 => eprintln!("{name}: nothing new{more}"),
        [] => {
            let (rows, dropped) = (grouped(pair.rows), grouped(pair.dropped));
            let unsure = match pair.ambiguous {
                0 => String::new(),
                n => format!(", {} of which nobody can tell (see `health`)", grouped(n)),
            };
            eprintln!("{name}: {rows} frames, {dropped} of them dropped{unsure}{more}");
        }
        unseen => eprintln!("{name}: no event of stage {}{more}", unseen.join(" and ")),
    }
    if pair.unkeyed > 0 {
        let events = grouped(pair.unkeyed);
        eprintln!("{name}: {events} events were left out: they lack the key that the others have");
    }
}

/// The sessions of those names.
fn filter(names: &[String]) -> anyhow::Result<SessionFilter> {
    match names {
        [one] if one == "latest" => Ok(SessionFilter::Latest),
        [one] if one == "all" => Ok(SessionFilter::All),
        many => Ok(SessionFilter::Named(many.iter().map(|n| n.parse()).collect::<Result<_, _>>()?)),
    }
}
