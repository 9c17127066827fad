//! Virtual boards and the source that records them, over real PTYs.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod discovery;
mod faults;
mod readings;
mod record;
mod recording;
mod settings;
