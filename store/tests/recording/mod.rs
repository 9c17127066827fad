//! Small recordings, and what tests ask of them.

#![allow(dead_code)]

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use bl_store::clock::monotonic_ns;
use bl_store::{Rows, Session, SessionSpec, SessionWriter, Store};

pub fn spec(name: &str) -> SessionSpec {
    SessionSpec { id: Some(name.parse().unwrap()), node: "host".into(), ..Default::default() }
}

/// Events of these frames, stamped now.
pub fn events(writer: &SessionWriter, frames: std::ops::Range<i64>) -> RecordBatch {
    let mut rows = Rows::new(bl_schemas::table("pipeline").unwrap());
    let (stage, frame) = (rows.column("stage"), rows.column("frame"));
    for i in frames {
        rows.begin(writer.anchor().ts(monotonic_ns()), "test");
        rows.str(stage, "ingress");
        rows.i64(frame, i);
    }
    rows.finish()
}

/// All rows of a table, sealed and open.
pub fn rows(session: &Session, table: &str) -> Vec<RecordBatch> {
    let snapshot = session.snapshot(bl_schemas::table(table).unwrap()).unwrap();
    let mut batches = snapshot.open;
    for file in &snapshot.sealed {
        let file = std::fs::File::open(&file.path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1 << 20);
        batches.extend(reader.unwrap().map(|b| b.unwrap()));
    }
    batches
}

/// Frames of the session's `pipeline`, sealed and open, sorted.
pub fn frames(session: &Session) -> Vec<i64> {
    let mut out = Vec::new();
    for batch in rows(session, "pipeline") {
        let frames = batch["frame"].as_primitive::<Int64Type>();
        assert_eq!(frames.null_count(), 0);
        out.extend(frames.values().iter().copied());
    }
    out.sort();
    out
}

/// The session's `pipeline` has each of the frames from 0 on once.
pub fn assert_frames(session: &Session, count: i64) {
    let found = frames(session);
    let twice = found.windows(2).filter(|w| w[0] == w[1]).count();
    let mut distinct = found.clone();
    distinct.dedup();
    let foreign = distinct.iter().filter(|f| !(0..count).contains(*f)).count();
    let missing = count - (distinct.len() - foreign) as i64;
    assert!(
        (missing, twice, foreign) == (0, 0, 0),
        "of {count} frames {missing} are missing, {twice} there twice, {foreign} not among them"
    );
}

/// Counts and sentences of the rows of `health` with that reason.
pub fn health(store: &Store, session: &str, reason: &str) -> Vec<(i64, String)> {
    let session = store.session(&session.parse().unwrap()).unwrap();
    let mut found = Vec::new();
    for batch in rows(&session, "health") {
        let reasons = batch["reason"].as_dictionary::<Int32Type>();
        let reasons = reasons.downcast_dict::<StringArray>().unwrap();
        let counts = batch["count"].as_primitive::<Int64Type>();
        let details = batch["detail"].as_string::<i32>();
        for (i, found_reason) in reasons.into_iter().enumerate() {
            if found_reason == Some(reason) {
                found.push((counts.value(i), details.value(i).to_owned()));
            }
        }
    }
    found
}

pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Copies what is below a folder.
pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A recording of these frames, a hundred a frame of the segment, as it is when its process is killed.
pub fn killed(frames: i64) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let options =
        bl_store::WriteOptions { flush_every: Duration::from_millis(1), ..Default::default() };
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    for from in (0..frames).step_by(100) {
        writer.append(table, events(&writer, from..(from + 100).min(frames))).unwrap();
        writer.flush().unwrap();
    }
    let image = tempfile::tempdir().unwrap();
    copy(dir.path(), image.path());
    writer.finish().unwrap();
    let store = Store::new(image.path());
    (image, store)
}
