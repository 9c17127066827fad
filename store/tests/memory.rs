//! How much memory the store takes, counted at the allocator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faulty;
mod recording;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bl_store::{Rows, SessionWriter, Store, WriteOptions};

use faulty::FaultyDisk;
use recording::{assert_frames, events, spec, wait_for};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it does what the system's allocator does, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: there is one allocator.
static ALONE: Mutex<()> = Mutex::new(());

/// Bytes beyond what is allocated now that something takes at its peak.
fn peak_of(what: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    what();
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
}

/// Two senders whose batches overlap in time. With all rows in memory it were four times as much.
#[test]
fn sealing_what_came_out_of_order_takes_a_bounded_buffer() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let options = WriteOptions { sync_every: Duration::from_millis(50), ..WriteOptions::default() };
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    let base = writer.anchor().now();
    for batch in 0..40 {
        for sender in 0..2 {
            let mut rows = Rows::new(table);
            let (stage, frame) = (rows.column("stage"), rows.column("frame"));
            for i in 0..5_000 {
                rows.begin(base + (batch * 5_000 + i) * 1_000 + sender, "events");
                rows.str(stage, if sender == 0 { "ingress" } else { "encoded" });
                rows.i64(frame, (batch * 5_000 + i) * 2 + sender);
            }
            writer.append(table, rows.finish()).unwrap();
        }
        writer.flush().unwrap();
    }
    let began = Instant::now();
    let peak = peak_of(|| drop(writer.finish().unwrap()));
    eprintln!("400,000 rows sealed in {:?} with {} MiB", began.elapsed(), peak >> 20);
    assert!(peak < 30 << 20, "{} MiB", peak >> 20);
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_frames(&session, 400_000);
    assert_eq!(session.snapshot(table).unwrap().sealed.len(), 1);
}

/// The disk is full, and everybody wants to be kept.
#[test]
fn rows_that_wait_take_no_more_than_they_may() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = Store::on(root.path(), Arc::new(disk.clone()));
    let table = bl_schemas::table("pipeline").unwrap();
    let limit = 32 << 20;
    let options = WriteOptions {
        flush_every: Duration::from_millis(1),
        sync_every: Duration::from_millis(5),
        pending_bytes: limit,
        ..WriteOptions::default()
    };
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    disk.set_full(true);
    let mut taken = 0;
    let peak = peak_of(|| {
        let mut refused = 0;
        while refused < 300 {
            match writer.append(table, events(&writer, taken..taken + 2_000)) {
                Ok(()) => taken += 2_000,
                Err(_) => refused += 1,
            }
        }
        disk.set_full(false);
        wait_for("the disk", || writer.flush().is_ok());
    });
    eprintln!("{taken} rows waited in {} MiB", peak >> 20);
    // Frames of four megabytes are made from them: copied once, encoded once.
    assert!(peak < limit + (14 << 20), "{} MiB", peak >> 20);
    writer.finish().unwrap();
    assert_frames(&store.session(&"run".parse().unwrap()).unwrap(), taken);
}
