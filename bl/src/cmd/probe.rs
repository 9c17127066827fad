//! `bl probe`: run a command with the GStreamer tracer.

use std::ffi::OsString;

use bl_ingest::probe::{Outcome, Probe, Stage, find_plugin, launch_line};
use bl_ingest::socket::EventsClient;

use super::{ingest, usage};
use crate::config::{Config, Sources};

/// Arguments of `bl probe`.
///
/// The events go into the session of a running `bl ingest`; where none listens, a session of its own is recorded.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pads to watch, such as ingress=src.src+encoded=enc.src (default: the ends of each pipeline).
    #[arg(long, value_name = "NAME=ELEMENT.PAD+...")]
    stages: Option<String>,
    /// A launch line instead of a command, such as "videotestsrc ! x264enc ! fakesink".
    #[arg(long, value_name = "LINE", conflicts_with = "command")]
    pipeline: Option<String>,
    #[command(flatten)]
    what: ingest::WhatArgs,
    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `bl probe`; returns the command's exit code.
pub fn run(args: Args, mut sources: Sources<'static>) -> anyhow::Result<u8> {
    args.what.set_flags(&mut sources);
    let config = Config::load(&sources)?;
    let stages = match &args.stages {
        Some(list) => Stage::parse_list(list).map_err(|e| usage(format!("--stages: {e}")))?,
        None => Vec::new(),
    };
    let command = match &args.pipeline {
        Some(line) => launch_line(line),
        None if args.command.is_empty() => {
            return Err(usage(
                "no command is given; write it after --, or a launch line after --pipeline",
            ));
        }
        None => args.command,
    };
    let configured = std::env::var_os("BL_GST_PLUGIN_DIR").map(std::path::PathBuf::from);
    let plugin_folder = find_plugin(&std::env::current_exe()?, configured.as_deref())?;
    let socket = config.pipeline.events.clone();
    let probe = Probe { command, stages, socket, plugin_folder };
    let outcome = if EventsClient::connect(&config.pipeline.events).is_ok() {
        eprintln!(
            "stage events go into the session of the recording that listens on {}",
            probe.socket.display()
        );
        let outcome = probe.run()?;
        // What the recording took is known to it alone; what the tracer sent is the best guess here.
        let sent = outcome.reports.iter().map(|r| r.sent).sum();
        remark(&outcome, &probe, sent);
        outcome
    } else {
        record(&probe, &args.what, &config)?
    };
    Ok(outcome.exit_code.clamp(0, 255) as u8)
}

/// Records a session of its own while the command runs.
fn record(probe: &Probe, args: &ingest::WhatArgs, config: &Config) -> anyhow::Result<Outcome> {
    let running = ingest::begin(args, config)?;
    let outcome = probe.run();
    let statuses = running.recording.statuses();
    let received = || {
        let events = statuses.iter().filter(|s| s.name == bl_ingest::socket::SOURCE);
        events.map(|s| s.rows()).sum::<u64>()
    };
    // The tracer has flushed before it ended; give the socket's thread the time to read it.
    if let Ok(outcome) = &outcome {
        let sent: u64 = outcome.reports.iter().map(|r| r.sent).sum();
        for _ in 0..100 {
            if received() >= sent {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        remark(outcome, probe, received());
    }
    ingest::tell(&running.finish()?);
    Ok(outcome?)
}

fn remark(outcome: &Outcome, probe: &Probe, received: u64) {
    for remark in outcome.remarks(probe, received) {
        eprintln!("bl: {remark}");
    }
}
