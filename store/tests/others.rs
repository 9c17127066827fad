//! Others on the same machine: what is theirs stays, and nothing of theirs is followed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use std::os::unix::fs::symlink;

use bl_store::{SessionSpec, SessionWriter, Store, WriteOptions};

use recording::spec;

fn json(path: &std::path::Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn what_others_write_in_session_json_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer = SessionWriter::begin(&store, spec("run"), WriteOptions::default()).unwrap();
    let path = root.path().join("sessions/run/session.json");
    let mut theirs = json(&path);
    theirs["pinned"] = "for the report".into();
    bl_store::replace_file(&path, theirs.to_string().as_bytes()).unwrap();
    std::fs::write(root.path().join("sessions/run/shipped.json"), "{}").unwrap();
    writer.update(|m| m.sources = vec!["a".into()]).unwrap();
    assert_eq!(json(&path)["pinned"], "for the report");
    assert_eq!(json(&path)["sources"][0], "a");
    writer.finish().unwrap();
    assert_eq!(json(&path)["pinned"], "for the report");
    assert_eq!(json(&path)["state"], "ended");
    drop(writer);
    SessionWriter::reopen(&store, &"run".parse().unwrap(), WriteOptions::default())
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(json(&path)["pinned"], "for the report");
    assert!(root.path().join("sessions/run/shipped.json").exists());
}

/// Somebody puts links where the store writes: the files that they lead to stay as they are.
#[test]
fn links_are_not_written_through() {
    let root = tempfile::tempdir().unwrap();
    let treasure = root.path().join("treasure");
    std::fs::write(&treasure, "gold").unwrap();
    let store = Store::new(root.path());
    let session = root.path().join("sessions/run");
    std::fs::create_dir_all(&session).unwrap();
    for name in ["session.tmp", ".session.json.tmp"] {
        symlink(&treasure, session.join(name)).unwrap();
    }
    SessionWriter::begin(&store, spec("run"), WriteOptions::default()).unwrap().finish().unwrap();
    assert_eq!(std::fs::read_to_string(&treasure).unwrap(), "gold");
    std::fs::remove_file(session.join("lock")).unwrap();
    symlink(&treasure, session.join("lock")).unwrap();
    assert!(SessionWriter::begin(&store, spec("run"), WriteOptions::default()).is_err());
    assert_eq!(std::fs::read_to_string(&treasure).unwrap(), "gold");
}

#[test]
fn hosts_have_names_that_lead_nowhere() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let begin = |node: &str| {
        let spec = SessionSpec { node: node.into(), ..SessionSpec::default() };
        SessionWriter::begin(&store, spec, WriteOptions::default()).map(|w| drop(w.finish()))
    };
    for node in ["../../etc", "a/b", ".hidden", "-rf", "a\0b", &"x".repeat(254)] {
        let refused = begin(node).expect_err(node).to_string();
        assert!(refused.contains("is no name for a host"), "{refused}");
    }
    assert!(!root.path().join("sessions").exists(), "nothing was made for them");
    for node in ["lab-7.example.org", "Büro_2", ""] {
        begin(node).unwrap_or_else(|e| panic!("{node}: {e}"));
    }
}
