//! A data root that is a relative path and not there yet. Alone in its process, whose working folder it changes.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::Path;

use bl_store::{SessionSpec, SessionWriter, Store, WriteOptions};

#[test]
fn a_relative_data_root_is_made_by_the_first_recording() {
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    for root in ["new", "newer/below", "./newest"] {
        let store = Store::new(Path::new(root));
        let spec = SessionSpec {
            id: Some("s".parse().unwrap()),
            node: "here".into(),
            ..SessionSpec::default()
        };
        let writer = SessionWriter::begin(&store, spec, WriteOptions::default())
            .unwrap_or_else(|e| panic!("{root}: {e}"));
        writer.finish().unwrap_or_else(|e| panic!("{root}: {e}"));
        let there = folder.path().join(root).join("sessions/s/session.json");
        assert!(there.is_file(), "{}", there.display());
        assert_eq!(store.sessions().unwrap().0.len(), 1, "{root}");
    }
    // A file by its bare name.
    bl_store::replace_file(Path::new("bare"), b"x").unwrap();
    assert_eq!(std::fs::read("bare").unwrap(), b"x");
}
