//! One file a format: what leaves the store.
