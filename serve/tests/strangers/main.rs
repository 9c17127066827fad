//! What strangers may do to the server: hostile statements, hostile requests, and random ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod fuzz;
mod http;
mod limits;
mod rig;
mod sign_in;
mod sql;
