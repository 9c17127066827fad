//! The network's sources against servers that speak as theirs do.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod fastapi;
mod kit;
mod mqtt;
mod peers;
#[path = "../serial/recording.rs"]
#[allow(dead_code)]
mod recording;
mod server;

use std::time::{Duration, Instant};

use recording::{Recording, decimal};

/// The values of a decimal column, row by row.
fn decimals(recording: &Recording, column: &str) -> Vec<Option<i32>> {
    let rows = recording.table("benchlab");
    (0..rows.num_rows()).map(|i| decimal(&rows, column, i)).collect()
}

/// The sentences of a reason in `health`.
fn told(recording: &Recording, reason: &str) -> Vec<String> {
    use arrow_array::cast::AsArray;
    let health = recording.table("health");
    let text = |column: &str, i: usize| health[column].as_string::<i32>().value(i).to_owned();
    (0..health.num_rows())
        .filter(|i| text("reason", *i) == reason)
        .map(|i| text("detail", i))
        .collect()
}

/// Stops a source that waits for its server: it must not take longer than a recording waits.
fn assert_stops_at_once(recording: &mut Recording) {
    let began = Instant::now();
    recording.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
