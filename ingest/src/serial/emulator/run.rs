//! A virtual board for a command line: it runs until told to stop.

use std::io::Write;

use super::{BoardOptions, VirtualBoard};
use crate::source::Stop;

/// Runs a virtual board until `stop`, after one line to `out` that says where it is.
///
/// # Errors
/// When the board cannot be plugged in, or `out` takes nothing.
pub fn run(options: BoardOptions, stop: &Stop, out: &mut dyn Write) -> std::io::Result<()> {
    let contract = options.contract;
    let board = VirtualBoard::start(options)?;
    let path = board.path().unwrap_or_default();
    writeln!(out, "{contract}, {}, at {}", board.uid(), path.display())?;
    out.flush()?;
    while stop.sleep_ns(3_600_000_000_000) {}
    board.stop();
    Ok(())
}
