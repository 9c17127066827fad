//! One file a format: what leaves the store.

pub mod live;
pub mod prometheus;
pub mod web;
