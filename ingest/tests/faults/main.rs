//! Each source unplugged, hung, denied and malformed once, in a real recording that goes on: into a store, under the
//! supervisor and its watchdog, beside a witness that has to deliver all the while. `docs/health.md` has the table.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod bench;
mod boards;
mod events;
mod kernel;
mod network;
