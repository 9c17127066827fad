//! The live follower: what the session that is being recorded looks like now.
//!
//! One thread ([`Feed`]) polls the store every 100 ms, drives the kernels over the new rows, keeps the last
//! 15 minutes in memory and puts what is new into a log of messages, from which any number of clients read. It
//! never waits for a client.

mod aligner;
mod boards;
mod catalog;
mod cells;
mod channels;
mod devices;
mod events;
mod feed;
mod log;
mod marks;
mod pairs;
mod power;
mod status;
mod tail;
mod tally;
mod time;
mod window;

#[cfg(test)]
mod tests;

pub use aligner::{Aligner, PairRow, StagePair, Taken};
pub use boards::Boards;
pub use catalog::{Catalog, Entry};
pub use cells::Cells;
pub use channels::{CHANNEL_TABLES, Series, key_columns, key_of, series_json};
pub use devices::board_json;
pub use feed::{ClientGuard, Feed, FeedError, FeedOptions, Now, Step};
pub use log::{Log, Message};
pub use marks::{Cost, Marks};
pub use pairs::{LATENCY_BOUNDS_S, PairWindow, costs_json, pairs_json};
pub use power::{Board, POWER_COLUMNS, PowerRow, Silences, power_json};
pub use status::Exporter;
pub use tally::{Tallies, Tally};
pub use time::{json_number, ms, ms_opt};
pub use window::{Draft, KEPT_NS, Window, WindowCopy};
