//! The live follower: what the session that is being recorded looks like now.
//!
//! One thread polls the store every 100 ms ([`Feed`] is the handle to it), drives the kernels over the new rows, keeps
//! the last 15 minutes in memory and puts what is new into a log of messages, from which any number of clients read. It
//! never waits for a client.
//!
//! `tail` reads rows, `window` holds what they say of one session, `now` is all that is known at a moment, `driver` is
//! the thread that brings rows from the first to the last.

mod aligner;
mod boards;
mod catalog;
mod cells;
mod channels;
mod devices;
mod driver;
mod events;
mod feed;
mod kept;
mod log;
mod marks;
mod now;
mod options;
mod pairs;
mod power;
mod shared;
mod status;
mod tail;
mod tally;
mod time;
mod window;

#[cfg(test)]
mod tests;

pub use feed::{Feed, FeedError};
pub use options::{FeedOptions, Step};

pub use aligner::PairRow;
pub(crate) use aligner::StagePair;
pub(crate) use catalog::Entry;
pub(crate) use cells::Cells;
pub(crate) use channels::{Series, key_of, series_json};
pub(crate) use devices::board_json;
pub(crate) use feed::ClientGuard;
pub(crate) use log::Message;
pub(crate) use marks::{Cost, Marks};
pub(crate) use now::Now;
pub(crate) use pairs::{LATENCY_BOUNDS_S, pairs_json};
pub(crate) use power::{Board, POWER_COLUMNS, PowerRow, power_json};
pub(crate) use time::{json_number, ms, ms_opt};
pub(crate) use window::Window;
