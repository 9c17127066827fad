//! One file a format: what leaves the store.

pub mod cx;
