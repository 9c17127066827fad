//! `bl mark`: write a mark into the session that is being recorded.

use anyhow::Context;
use bl_ingest::socket::{MarkKind, send_mark};
use serde_json::{Map, Value};

use super::usage;
use crate::config::{Config, Sources};

/// Arguments of `bl mark`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the mark, or of a step of a flow.
    name: String,
    /// The step begins here (without --begin or --end it is a point in time).
    #[arg(long, conflicts_with = "end")]
    begin: bool,
    /// The step ends here.
    #[arg(long)]
    end: bool,
    /// A further attribute; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    attr: Vec<String>,
    /// The socket of the recording (default: pipeline.events of the configuration).
    #[arg(long, value_name = "PATH")]
    events: Option<std::path::PathBuf>,
}

/// Runs `bl mark`.
pub fn run(args: &Args, sources: &Sources<'_>) -> anyhow::Result<()> {
    let kind = match (args.begin, args.end) {
        (true, _) => MarkKind::Begin,
        (_, true) => MarkKind::End,
        _ => MarkKind::Point,
    };
    let mut attrs = Map::new();
    for attr in &args.attr {
        let Some((key, value)) = attr.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(usage(format!("--attr {attr}: write it as KEY=VALUE")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        attrs.insert(key.into(), value);
    }
    let socket = match &args.events {
        Some(path) => path.clone(),
        None => Config::load(sources)?.pipeline.events,
    };
    send_mark(&socket, &args.name, kind, &attrs).with_context(|| {
        format!("no mark '{}' written; is `bl ingest` running with this socket?", args.name)
    })
}
