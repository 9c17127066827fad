//! `bl sessions`: list sessions, or show one.

use std::io::Write;

use bl_store::{Session, State, Store};
use serde_json::{Value, json};

use crate::config::{Config, Sources};
use crate::terminal::{columns, grouped, instant, span};

/// Arguments of `bl sessions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session to show; without it, all are listed.
    session: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `bl sessions`.
pub fn run(args: &Args, sources: &Sources<'_>) -> anyhow::Result<()> {
    let store = Store::new(Config::load(sources)?.general.data_root);
    let mut out = std::io::stdout().lock();
    match &args.session {
        Some(name) => show(&mut out, &store.session(&name.parse()?)?, args.json),
        None => list(&mut out, &store, args.json),
    }
}

fn list(out: &mut impl Write, store: &Store, as_json: bool) -> anyhow::Result<()> {
    let (sessions, broken) = store.sessions()?;
    for e in broken {
        eprintln!("bl: {e}");
    }
    if as_json {
        let all: Vec<Value> = sessions.iter().map(document).collect();
        serde_json::to_writer_pretty(&mut *out, &all)?;
        writeln!(out)?;
        return Ok(());
    }
    if sessions.is_empty() {
        let root = store.data_root().display();
        eprintln!("no sessions in {root} yet: record one with `bl ingest`");
        return Ok(());
    }
    let heading = ["session", "node", "started", "length", "state", "rows", "sources"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    rows.extend(sessions.iter().map(|s| {
        let m = s.manifest();
        vec![
            m.id.to_string(),
            m.node.clone(),
            instant(m.started_ns),
            length(s),
            state(s).into(),
            if m.state == State::Recording {
                String::new()
            } else {
                grouped(m.rows.values().sum())
            },
            m.sources.join(" "),
        ]
    }));
    write!(out, "{}", columns(&rows))?;
    Ok(())
}

fn show(out: &mut impl Write, session: &Session, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        serde_json::to_writer_pretty(&mut *out, &document(session))?;
        writeln!(out)?;
        return Ok(());
    }
    let m = session.manifest();
    let mut line = |name: &str, value: String| writeln!(out, "{name:<10}{value}");
    line("session", m.id.to_string())?;
    line("node", m.node.clone())?;
    line("started", instant(m.started_ns) + if m.anchor_estimated { " (estimated)" } else { "" })?;
    line("length", length(session))?;
    line("state", state(session).into())?;
    line("folder", session.dir().path().display().to_string())?;
    line("sources", m.sources.join(", "))?;
    for device in &m.devices {
        let word = |key: &str| device[key].as_str().unwrap_or_default().to_string();
        line("device", format!("{} {} {}", word("id"), word("model"), word("name")))?;
    }
    let mut rows = vec![vec!["table".to_string(), "rows".into()]];
    rows.extend(m.rows.iter().map(|(table, n)| vec![table.clone(), grouped(*n)]));
    if m.state == State::Recording {
        line("rows", "known once it has ended; `bl query` counts them now".into())?;
    } else {
        write!(out, "\n{}", columns(&rows))?;
    }
    Ok(())
}

/// The manifest, with what it means now.
fn document(session: &Session) -> Value {
    let mut document = json!(session.manifest());
    document["state"] = state(session).into();
    document["folder"] = session.dir().path().display().to_string().into();
    document
}

fn state(session: &Session) -> &'static str {
    match session.manifest().state {
        State::Recording if session.is_live() => "recording",
        State::Recording => "interrupted",
        State::Ended => "ended",
        State::Recovered => "recovered",
    }
}

fn length(session: &Session) -> String {
    let m = session.manifest();
    match m.ended_ns {
        Some(end) => span(end - m.started_ns),
        None if session.is_live() => span(m.anchor.now() - m.started_ns),
        None => String::new(),
    }
}
