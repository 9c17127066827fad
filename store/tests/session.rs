//! A session's life: written, read while it is written, ended, continued, broken and mended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use std::time::Duration;

use bl_store::{Footer, SessionSpec, SessionWriter, State, Store, StoreError, WriteOptions};

use recording::{copy, events, frames, spec};

fn quick() -> WriteOptions {
    WriteOptions { flush_every: Duration::from_millis(5), ..Default::default() }
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
    // The frame of the schema begins at byte 16 and is longer.
    bytes.extend(bytes[16..16 + 77].to_vec());
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
