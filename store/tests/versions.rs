//! What a newer `bl` wrote is read as far as it is known, and never sealed, dropped or removed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use bl_store::{SessionWriter, State, StoreError, WriteOptions};

use recording::{assert_frames, frames, killed, spec};

const SEGMENT: &str = "sessions/run/raw/pipeline/open/000001.wal";

#[test]
fn a_segment_of_a_newer_format_is_left_as_it_is() {
    let (root, store) = killed(300);
    let segment = root.path().join(SEGMENT);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[7] = 2;
    std::fs::write(&segment, &bytes).unwrap();
    for _ in 0..2 {
        let recovered = store.recover().unwrap().remove(0).1.unwrap();
        assert_eq!((recovered.rows, recovered.left.len()), (0, 1));
        assert!(recovered.left[0].contains("000001.wal: segment format 2"), "{recovered:?}");
    }
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_eq!(session.manifest().state, State::Recording);
    let snapshot = session.snapshot(bl_schemas::table("pipeline").unwrap()).unwrap();
    assert!(matches!(snapshot.left_out[..], [StoreError::Newer { .. }]), "{snapshot:?}");
    assert!(snapshot.open.is_empty());
    let refused = SessionWriter::begin(&store, spec("run"), WriteOptions::default());
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("segment format 2"), "{refused}");
}

/// The name of a column is changed in the schema of the segment, as if there were one that is not known here.
#[test]
fn a_segment_with_a_column_that_is_not_known_is_read_but_not_sealed() {
    let (root, store) = killed(300);
    let segment = root.path().join(SEGMENT);
    let mut bytes = std::fs::read(&segment).unwrap();
    let length = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
    let schema = &mut bytes[32..32 + length];
    let at = schema.windows(8).position(|w| w == b"pipeline").unwrap();
    schema[at..at + 8].copy_from_slice(b"pipelyne");
    let crc = crc32fast::hash(schema);
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[16..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&segment, &bytes).unwrap();
    assert_frames(&store.session(&"run".parse().unwrap()).unwrap(), 300);
    let recovered = store.recover().unwrap().remove(0).1.unwrap();
    assert!(recovered.left[0].contains("pipeline.pipelyne is not known"), "{recovered:?}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
    assert_frames(&store.session(&"run".parse().unwrap()).unwrap(), 300);
}

#[test]
fn a_table_that_is_not_known_keeps_its_segments() {
    let (root, store) = killed(300);
    let raw = root.path().join("sessions/run/raw");
    std::fs::rename(raw.join("pipeline"), raw.join("quanta")).unwrap();
    let recovered = store.recover().unwrap().remove(0).1.unwrap();
    assert!(recovered.left[0].contains("table quanta is not known"), "{recovered:?}");
    assert!(raw.join("quanta/open/000001.wal").exists());
    assert!(frames(&store.session(&"run".parse().unwrap()).unwrap()).is_empty());
}

#[test]
fn a_session_of_a_newer_format_is_told_and_not_touched() {
    let (root, store) = killed(300);
    let path = root.path().join("sessions/run/session.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    std::fs::write(&path, &text).unwrap();
    let (sessions, broken) = store.sessions().unwrap();
    assert!(sessions.is_empty());
    assert!(broken[0].to_string().contains("format 2 is newer"), "{broken:?}");
    assert!(SessionWriter::begin(&store, spec("run"), WriteOptions::default()).is_err());
    assert!(store.recover().unwrap().is_empty());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert!(root.path().join(SEGMENT).exists());
}

#[test]
fn a_sealed_file_of_a_newer_format_is_told() {
    let (_root, store) = killed(300);
    store.recover().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    let snapshot = session.snapshot(bl_schemas::table("pipeline").unwrap()).unwrap();
    let path = &snapshot.sealed[0].path;
    let bytes = std::fs::read(path).unwrap();
    let key = b"bl.format";
    let at = bytes.windows(key.len()).rposition(|w| w == key).unwrap();
    // The value follows: its field in Thrift's compact protocol, its length, its digit.
    let digit = at + key.len() + 2;
    assert_eq!(bytes[digit], b'1');
    let mut newer = bytes.clone();
    newer[digit] = b'2';
    std::fs::write(path, newer).unwrap();
    let told = bl_store::Footer::read(path).unwrap_err();
    assert!(matches!(told, StoreError::Newer { .. }), "{told}");
    assert!(told.to_string().contains("format 2"), "{told}");
}
