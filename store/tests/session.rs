//! A session's life: written, read while it is written, ended, continued, broken and mended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use bl_store::clock::monotonic_ns;
use bl_store::{
    Footer, Rows, Session, SessionSpec, SessionWriter, State, Store, StoreError, WriteOptions,
};

fn spec(name: &str) -> SessionSpec {
    SessionSpec { id: Some(name.parse().unwrap()), node: "host".into(), ..Default::default() }
}

fn quick() -> WriteOptions {
    WriteOptions { flush_every: Duration::from_millis(5), ..Default::default() }
}

fn events(writer: &SessionWriter, frames: std::ops::Range<i64>) -> RecordBatch {
    let mut rows = Rows::new(bl_schemas::table("pipeline").unwrap());
    let (stage, frame) = (rows.column("stage"), rows.column("frame"));
    for i in frames {
        rows.begin(writer.anchor().ts(monotonic_ns()), "test");
        rows.str(stage, "ingress");
        rows.i64(frame, i);
    }
    rows.finish()
}

/// Frames of the session's `pipeline`, sealed and open, in no order.
fn frames(session: &Session) -> Vec<i64> {
    let table = bl_schemas::table("pipeline").unwrap();
    let snapshot = session.snapshot(table).unwrap();
    let mut out = Vec::new();
    let mut add = |batch: &RecordBatch| {
        let frames = batch["frame"].as_primitive::<Int64Type>();
        assert_eq!(frames.null_count(), 0);
        out.extend(frames.values().iter().copied());
    };
    snapshot.open.iter().for_each(&mut add);
    for file in &snapshot.sealed {
        let file = std::fs::File::open(&file.path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1 << 20);
        for batch in reader.unwrap() {
            add(&batch.unwrap());
        }
    }
    out.sort();
    out
}

#[test]
fn rows_are_there_once_while_recording_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let options = WriteOptions { seal_after: Duration::from_millis(40), ..quick() };
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert!(session.is_live());
    for k in 0..40 {
        writer.append(table, events(&writer, k * 10..k * 10 + 10)).unwrap();
        writer.flush().unwrap();
        assert_eq!(frames(&session), (0..k * 10 + 10).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(3));
    }
    let manifest = writer.finish().unwrap();
    assert_eq!(manifest.rows["pipeline"], 400);
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_eq!(session.manifest().state, State::Ended);
    assert!(!session.is_live());
    let snapshot = session.snapshot(table).unwrap();
    assert!(snapshot.open.is_empty());
    assert!(snapshot.sealed.len() > 1);
    let total: u64 = snapshot.sealed.iter().map(|f| Footer::read(&f.path).unwrap().rows).sum();
    assert_eq!(total, 400);
    assert_eq!(frames(&session).len(), 400);
}

#[test]
fn a_second_writer_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let _writer = SessionWriter::begin(&store, spec("run"), quick()).unwrap();
    match SessionWriter::begin(&store, spec("run"), quick()) {
        Err(e @ StoreError::Locked { .. }) => {
            assert!(e.to_string().contains(&std::process::id().to_string()), "{e}");
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("two writers"),
    }
}

#[test]
fn a_session_goes_on_within_the_same_boot() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let mut anchor = None;
    for k in 0..3 {
        let writer = SessionWriter::begin(&store, spec("run"), quick()).unwrap();
        assert_eq!(*anchor.get_or_insert(writer.anchor()), writer.anchor());
        writer.append(table, events(&writer, k * 5..k * 5 + 5)).unwrap();
        let manifest = writer.finish().unwrap();
        assert_eq!(manifest.rows["pipeline"] as i64, k * 5 + 5);
    }
    assert_eq!(frames(&store.session(&"run".parse().unwrap()).unwrap()).len(), 15);

    let path = dir.path().join("sessions/run/session.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let boot = bl_store::boot_id().unwrap();
    std::fs::write(&path, text.replace(&boot, "another boot")).unwrap();
    let refused = SessionWriter::begin(&store, spec("run"), quick()).err().unwrap().to_string();
    assert!(refused.contains("before the last reboot"), "{refused}");
}

#[test]
fn two_sessions_of_one_second_have_two_names() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let spec = || SessionSpec { node: "host".into(), ..Default::default() };
    let writers: Vec<_> =
        (0..3).map(|_| SessionWriter::begin(&store, spec(), quick()).unwrap()).collect();
    writers.into_iter().for_each(|w| drop(w.finish().unwrap()));
    assert_eq!(store.sessions().unwrap().0.len(), 3);
}

#[test]
fn what_a_dead_recorder_left_is_sealed_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let writer = SessionWriter::begin(&store, spec("run"), quick()).unwrap();
    writer.append(table, events(&writer, 0..100)).unwrap();
    writer.flush().unwrap();
    // What a power cut would leave: the files as they are now, and a torn frame.
    let image = tempfile::tempdir().unwrap();
    copy(dir.path(), image.path());
    writer.finish().unwrap();
    let store = Store::new(image.path());
    let segment = image.path().join("sessions/run/raw/pipeline/open/000001.wal");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend([0x55; 77]);
    std::fs::write(&segment, bytes).unwrap();

    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert!(!session.is_live());
    assert_eq!(frames(&session), (0..100).collect::<Vec<_>>());
    let recovered = store.recover().unwrap();
    let (id, result) = &recovered[0];
    let result = result.as_ref().unwrap();
    assert_eq!((id.as_str(), result.rows, result.damage.torn_bytes), ("run", 100, 77));
    assert!(store.recover().unwrap().is_empty());
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_eq!(session.manifest().state, State::Recovered);
    assert_eq!(session.manifest().rows["health"], 1);
    assert_eq!(frames(&session), (0..100).collect::<Vec<_>>());
    assert!(!segment.exists());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
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
