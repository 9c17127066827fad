//! Bytes that were written whole and are broken now: told, and what is left of them kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use std::path::PathBuf;
use std::time::Duration;

use bl_store::{SessionWriter, State, Store, WriteOptions};

use recording::{assert_frames, events, frames, health, killed, spec, wait_for};

const SEGMENT: &str = "sessions/run/raw/pipeline/open/000001.wal";

fn flip(path: &PathBuf, place: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let place = place(bytes.len());
    bytes[place] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

/// The last frame is of rows 400 to 499: its payload is flipped, then its header, then it is torn.
#[test]
fn a_flipped_last_frame_of_a_dead_recorder_is_told_and_kept() {
    for (place, rows) in [(40, 100), (24 + 1_000_000, 0)] {
        let (root, store) = killed(500);
        let segment = root.path().join(SEGMENT);
        let header = last_frame(&std::fs::read(&segment).unwrap());
        flip(&segment, |length| match place {
            40 => length - 40,
            _ => header + 5,
        });
        let recovered = store.recover().unwrap().remove(0).1.unwrap();
        assert_eq!(recovered.rows, 400);
        assert!(recovered.damage.is_serious(), "{recovered:?}");
        assert_frames(&store.session(&"run".parse().unwrap()).unwrap(), 400);
        let told = health(&store, "run", "damaged");
        assert_eq!((told.len(), told[0].0), (1, rows), "{told:?}");
        assert!(segment.with_extension("wal.damaged").exists());
    }
}

/// The same where a recorder goes on with the session at once.
#[test]
fn damage_is_told_to_whoever_goes_on_with_the_session() {
    let (root, store) = killed(500);
    let segment = root.path().join(SEGMENT);
    flip(&segment, |length| length - 40);
    let writer = SessionWriter::begin(&store, spec("run"), WriteOptions::default()).unwrap();
    writer.append(bl_schemas::table("pipeline").unwrap(), events(&writer, 400..410)).unwrap();
    assert_eq!(writer.finish().unwrap().rows["pipeline"], 410);
    assert_frames(&store.session(&"run".parse().unwrap()).unwrap(), 410);
    let told = health(&store, "run", "damaged");
    assert_eq!((told.len(), told[0].0), (1, 100), "{told:?}");
    assert!(told[0].1.contains("pipeline/open/000001.wal.damaged"), "{told:?}");
    assert_eq!(health(&store, "run", "recovered")[0].0, 400);
}

#[test]
fn a_torn_last_frame_is_no_damage() {
    for zeros in [false, true] {
        let (root, store) = killed(500);
        let segment = root.path().join(SEGMENT);
        let mut bytes = std::fs::read(&segment).unwrap();
        match zeros {
            true => bytes.extend([0; 4096]),
            false => bytes.truncate(bytes.len() - 7),
        }
        std::fs::write(&segment, bytes).unwrap();
        let recovered = store.recover().unwrap().remove(0).1.unwrap();
        assert_eq!(recovered.rows, if zeros { 500 } else { 400 });
        assert!(!recovered.damage.is_serious() && recovered.damage.torn_bytes > 0);
        assert!(!segment.with_extension("wal.damaged").exists());
    }
}

/// Where the last frame begins: frames follow each other by the lengths in their headers.
fn last_frame(bytes: &[u8]) -> usize {
    let mut at = 16;
    loop {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if at + 16 + length >= bytes.len() {
            return at;
        }
        at += 16 + length;
    }
}

/// The recorder itself seals it, and knows what it appended: nothing that is gone looks like a torn end.
#[test]
fn what_a_recorder_appended_and_does_not_find_again_is_told() {
    for cut in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let table = bl_schemas::table("pipeline").unwrap();
        let options =
            WriteOptions { flush_every: Duration::from_millis(1), ..WriteOptions::default() };
        let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
        for k in 0..5 {
            writer.append(table, events(&writer, k * 1_000..k * 1_000 + 1_000)).unwrap();
            writer.flush().unwrap();
        }
        let segment = root.path().join(SEGMENT);
        let bytes = std::fs::read(&segment).unwrap();
        match cut {
            true => std::fs::File::options()
                .write(true)
                .open(&segment)
                .unwrap()
                .set_len(last_frame(&bytes) as u64)
                .unwrap(),
            false => flip(&segment, |length| length - 100),
        }
        writer.finish().unwrap();
        let session = store.session(&"run".parse().unwrap()).unwrap();
        assert_frames(&session, 4_000);
        assert_eq!(session.manifest().rows["pipeline"], 4_000);
        let told = health(&store, "run", "damaged");
        assert_eq!((told.len(), told[0].0), (1, 1_000), "{told:?}");
        assert!(segment.with_extension("wal.damaged").exists());
    }
}

#[test]
fn a_foreign_file_among_the_sealed_ones_ends_no_recovery() {
    let (root, store) = killed(500);
    let hour = root.path().join("sessions/run/raw/pipeline/date=2020-01-01/hour=00");
    std::fs::create_dir_all(&hour).unwrap();
    std::fs::write(hour.join("000777.parquet"), "PAR1 and nothing else").unwrap();
    let recovered = store.recover().unwrap().remove(0).1.unwrap();
    assert_eq!(recovered.unreadable.len(), 1);
    assert!(recovered.unreadable[0].contains("000777.parquet"), "{recovered:?}");
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_eq!(session.manifest().state, State::Recovered);
    assert_eq!(session.manifest().rows["pipeline"], 500);
    // Neither is it told again at each start.
    assert!(store.recover().unwrap().is_empty());
    assert_eq!(health(&store, "run", "recovered").len(), 1);
    let told = health(&store, "run", "damaged");
    assert!(told.len() == 1 && told[0].1.contains("000777.parquet"), "{told:?}");
    // Whoever follows the table reads the other files.
    let table = bl_schemas::table("pipeline").unwrap();
    let mut follower = bl_store::Follower::new(&session, table, i64::MIN);
    let rows: usize = follower.poll().unwrap().iter().map(|b| b.num_rows()).sum();
    assert_eq!(rows, 500);
    assert!(follower.take_unreadable()[0].to_string().contains("000777.parquet"));
}

/// Whatever becomes of `session.json`, its session is told wherever sessions are listed.
#[test]
fn a_session_whose_manifest_is_damaged_is_told() {
    let (root, store) = killed(10);
    let path = root.path().join("sessions/run/session.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    let half = &whole[..whole.len() / 2];
    for text in [Some(""), Some(half), Some("{}"), Some("\u{0}\u{0}"), None] {
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let (sessions, broken) = store.sessions().unwrap();
        assert!(sessions.is_empty(), "{text:?}");
        assert_eq!(broken.len(), 1, "{text:?}");
        assert!(broken[0].to_string().contains("run/session.json"), "{}", broken[0]);
        assert!(store.recover().unwrap().is_empty());
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(store.recover().unwrap().remove(0).1.unwrap().rows, 10);
}

/// A sealed file that cannot be read beside the segment that it was made from: it is made again.
#[test]
fn a_truncated_file_is_made_again_from_its_segment() {
    let (root, store) = killed(500);
    let segment = root.path().join(SEGMENT);
    let bytes = std::fs::read(&segment).unwrap();
    store.recover().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    let snapshot = session.snapshot(bl_schemas::table("pipeline").unwrap()).unwrap();
    let sealed = std::fs::read(&snapshot.sealed[0].path).unwrap();
    std::fs::write(&snapshot.sealed[0].path, &sealed[..sealed.len() / 2]).unwrap();
    std::fs::write(&segment, bytes).unwrap();
    let path = root.path().join("sessions/run/session.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("recovered", "recording");
    std::fs::write(&path, text).unwrap();
    assert_eq!(store.recover().unwrap().remove(0).1.unwrap().rows, 500);
    assert_frames(&store.session(&"run".parse().unwrap()).unwrap(), 500);
    assert!(!segment.exists());
}

/// A recorder that goes on with a session gives no number again, though its files have gone.
#[test]
fn numbers_do_not_come_back_when_files_have_gone() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let mut numbers = Vec::new();
    for k in 0..3 {
        let writer = SessionWriter::begin(&store, spec("run"), WriteOptions::default()).unwrap();
        writer.append(table, events(&writer, k * 10..k * 10 + 10)).unwrap();
        writer.finish().unwrap();
        let session = store.session(&"run".parse().unwrap()).unwrap();
        let sealed = session.snapshot(table).unwrap().sealed;
        assert_eq!(sealed.len(), 1);
        numbers.push(sealed[0].seq);
        // Shipped, with the folder of its day.
        let day = sealed[0].path.parent().unwrap().parent().unwrap().to_path_buf();
        std::fs::remove_dir_all(day).unwrap();
        wait_for("the files to go", || frames(&session).is_empty());
    }
    assert_eq!(numbers, [1, 2, 3]);
}
