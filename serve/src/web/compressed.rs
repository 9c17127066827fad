//! Files in gzip's format.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// The page's files in their compressed form, each compressed when it is asked for first.
#[derive(Default)]
pub(super) struct Compressed(Mutex<HashMap<String, Vec<u8>>>);

impl Compressed {
    /// The file in its compressed form.
    pub fn of(&self, name: &str, data: &[u8]) -> Vec<u8> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(name.into()).or_insert_with(|| gzip(data, 9)).clone()
    }
}

/// The data in gzip's format.
fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    // Writing into memory does not fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}
