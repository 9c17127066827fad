//! `bl device`: list BENCHLAB boards, or emulate one.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bl_ingest::serial::emulator::{BoardOptions, Fault, ReplyDelay};
use bl_ingest::serial::protocol::{Contract, Model};
use bl_ingest::serial::{ConnectOptions, Found, Occupant, Roots, discover, emulate};
use bl_ingest::source::Stop;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::usage;
use crate::terminal::columns;

/// Arguments of `bl device`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the boards that are plugged in, and what keeps others from being used.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Emulate a board on a pseudo-terminal, until Ctrl-C.
    Emulate(Emulate),
}

#[derive(Debug, clap::Args)]
struct Emulate {
    /// The product.
    #[arg(long, value_enum, default_value_t = Product::Benchlab2)]
    model: Product,
    /// Its firmware (default: the newest known).
    #[arg(long, value_name = "N")]
    firmware: Option<u8>,
    /// Where to put a link to the pseudo-terminal, such as /tmp/benchlab (default: none, its own path is printed).
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
    /// The same seed, the same board and readings.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What goes wrong: stall, short, stray, garbage, delay, trickle or unplug; @N for each N-th reply; may be repeated.
    #[arg(long, value_name = "KIND[@N]")]
    fault: Vec<Fault>,
    /// How long it takes to answer: 8ms, or 4ms..40ms for uneven delays (default: none).
    #[arg(long, value_name = "A..B")]
    delay: Option<ReplyDelay>,
    /// How often it measures anew, in times a second (default: for each reply).
    #[arg(long, value_name = "HZ", value_parser = hz)]
    refresh_hz: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Product {
    /// BENCHLAB ORIGINAL.
    Original,
    /// BENCHLAB 2.
    Benchlab2,
}

/// Runs `bl device`.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::List { json } => list(json),
        Command::Emulate(args) => run_emulator(args),
    }
}

fn list(as_json: bool) -> anyhow::Result<()> {
    let found = discover(&Roots::default(), &ConnectOptions::default(), &Stop::new()?);
    let mut out = std::io::stdout().lock();
    if as_json {
        let all: Vec<Value> = found.iter().map(document).collect();
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
        return Ok(());
    }
    if found.is_empty() {
        eprintln!("no BENCHLAB board found: plug one in, or try `bl device emulate`");
        return Ok(());
    }
    let heading = ["path", "uid", "model", "firmware", "name", "USB port", "note"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    rows.extend(found.iter().map(row));
    write!(out, "{}", columns(&rows))?;
    Ok(())
}

fn row(found: &Found) -> Vec<String> {
    let path = found.port.path.display().to_string();
    let [uid, model, firmware, name] = match &found.occupant {
        Occupant::Board(board) => [
            board.uid.to_string(),
            board.contract.model.to_string(),
            format!("{:02}", board.contract.firmware),
            board.name.clone(),
        ],
        Occupant::Other(_) | Occupant::Unreachable(_) => [const { String::new() }; 4],
    };
    let note = found.occupant.note();
    vec![path, uid, model, firmware, name, found.port.usb_port.clone(), note]
}

fn document(found: &Found) -> Value {
    let mut document = json!({
        "path": found.port.path,
        "usb_port": found.port.usb_port,
        "usb_serial": found.port.usb_serial,
    });
    match &found.occupant {
        Occupant::Board(board) => {
            document["id"] = json!(board.uid.to_string());
            document["model"] = json!(board.contract.model.to_string());
            document["firmware"] = json!(board.contract.firmware);
            document["name"] = json!(board.name);
        }
        occupant => document["note"] = json!(occupant.note()),
    }
    document
}

fn run_emulator(args: Emulate) -> anyhow::Result<()> {
    let model = match args.model {
        Product::Original => Model::Original,
        Product::Benchlab2 => Model::Benchlab2,
    };
    let contract = match args.firmware {
        None => model.newest(),
        Some(firmware) => Contract::of_model(model, firmware).map_err(|_| {
            let known = Contract::all().iter().filter(|c| c.model == model);
            let known: Vec<String> = known.map(|c| c.firmware.to_string()).collect();
            usage(format!("{model} has no firmware {firmware}: choose one of {}", known.join(", ")))
        })?,
    };
    let mut options = BoardOptions::of(contract, args.seed);
    options.link = args.link;
    options.faults = args.fault;
    options.delay = args.delay.unwrap_or_default();
    options.refresh = args.refresh_hz.map(|hz| Duration::from_secs_f64(1.0 / hz));
    let stop = Stop::new()?;
    stop_at_signals(&stop)?;
    emulate(options, &stop, &mut std::io::stdout()).context("the virtual board cannot run")
}

fn stop_at_signals(stop: &Stop) -> anyhow::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new(signal_hook::consts::TERM_SIGNALS)?;
    let stop = stop.clone();
    std::thread::Builder::new().name("bl-signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            stop.stop();
        }
    })?;
    Ok(())
}

/// A rate between once in 1000 s and 1000 times a second.
fn hz(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hz) if (0.001..=1000.0).contains(&hz) => Ok(hz),
        _ => Err("a number from 0.001 to 1000".into()),
    }
}
