//! The real plugin in real pipelines, and what becomes of its events when their receiver is in trouble.

// The helpers of tests may fail them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;
mod pipelines;
mod socket;
