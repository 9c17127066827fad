//! One file a format: what leaves the store.

pub mod cx;
pub mod live;
pub mod prometheus;
pub mod web;
