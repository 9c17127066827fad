//! Thirty times unplugged and plugged in again, in a process of its own, whose threads and descriptors are counted.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../serial/recording.rs"]
#[allow(dead_code)]
mod recording;

use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::Model;
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector};
use recording::{Recording, await_true, ts_at};

const CYCLES: i64 = 30;

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn threads_and_descriptors() -> (usize, usize) {
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

#[test]
fn thirty_cycles_leave_one_session_its_gaps_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let idle = threads_and_descriptors();
    let mut options = BoardOptions::new(Model::Benchlab2, 1);
    options.link = Some(folder.path().join("board"));
    let board = VirtualBoard::start(options).unwrap();
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    let selector = Selector::Path(board.path().unwrap());
    let mut recording = Recording::start(BenchlabSource::new(selector, roster, 200.0));
    recording.await_rows("benchlab", 20);
    let running = threads_and_descriptors();
    let mut gaps = Vec::new();
    for cycle in 1..=CYCLES {
        let anchor = recording.context.anchor();
        let left = anchor.now();
        board.unplug();
        await_true("the departure to be noticed", || recording.health("unplugged") == cycle);
        assert!(board.path().is_none() && !folder.path().join("board").exists());
        gaps.push((left, anchor.now()));
        board.replug();
        await_true("the return to be noticed", || recording.health("up") == cycle + 1);
        let rows = recording.rows("benchlab");
        recording.await_rows("benchlab", rows + 5);
    }
    assert_eq!(threads_and_descriptors(), running);
    assert_eq!(recording.stop().unwrap(), CYCLES as u32);
    let rows = recording.table("benchlab");
    assert_eq!(recording.devices.lock().unwrap().len(), 1);
    drop(recording);
    board.stop();
    await_true("threads and descriptors to be given back", || threads_and_descriptors() == idle);
    assert_eq!(entries(folder.path().to_str().unwrap()), 0);

    let stamps: Vec<i64> = (0..rows.num_rows()).map(|i| ts_at(&rows, i)).collect();
    assert!(stamps.is_sorted());
    for (left, noticed) in gaps {
        // A snapshot that was on its way may still arrive; none is made up.
        let within = stamps.iter().filter(|ts| **ts > left && **ts < noticed).count();
        assert!(within <= 2, "{within} rows while the board was away");
    }
}
