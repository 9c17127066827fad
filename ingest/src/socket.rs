//! Stage events and marks from other programs, over a Unix stream socket.
//!
//! Any number of programs connect and write one JSON object a line: `{"stage":"ingress","frame":1}`.
//! The protocol is described in `docs/events.md`. A stream and not datagrams: the kernel drops datagrams of a
//! fast sender (`net.unix.max_dgram_qlen` is 10), while a stream makes it wait.

mod batches;
mod client;
mod connection;
mod identity;
mod line;
mod listener;
mod sequence;
mod server;
mod simulated;
#[cfg(test)]
mod tests;

pub use client::{EventsClient, SendError, send_mark};
pub use line::MarkKind;
pub use listener::BindError;
pub use server::EventsSocket;
pub use simulated::SimulatedStages;

/// `source` of rows that programs sent.
pub const SOURCE: &str = "events.socket";

/// `source` of rows whose sender said that it simulates.
pub const SIMULATED_SOURCE: &str = "sim.pipeline";

/// The longest line that is taken, without its newline.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
