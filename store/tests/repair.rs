//! What is damaged is mended or set aside, told, and never thrown away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use bl_store::clock::ClockReading;
use bl_store::verify::{FindingKind, Report, Verdict, verify};
use bl_store::{
    Mending, Rows, Session, SessionDir, SessionWriter, State, Store, WriteOptions, index, repair,
};

use recording::{assert_frames, copy, events, frames, health, killed, rows, spec};

/// A session with two sealed files of 100 rows and a reading of the clocks.
fn sealed() -> (tempfile::TempDir, Store, SessionDir) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let options = WriteOptions { seal_bytes: 1, ..WriteOptions::default() };
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    writer.append(bl_schemas::table("clock").unwrap(), clocks(&writer)).unwrap();
    for k in 0..2 {
        let table = bl_schemas::table("pipeline").unwrap();
        writer.append(table, events(&writer, k * 100..k * 100 + 100)).unwrap();
        writer.flush().unwrap();
        // A segment is sealed at the next flush.
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    writer.finish().unwrap();
    let dir = store.dir(&"run".parse().unwrap());
    (root, store, dir)
}

fn clocks(writer: &SessionWriter) -> arrow_array::RecordBatch {
    let mut rows = Rows::new(bl_schemas::table("clock").unwrap());
    let reading = ClockReading::take();
    let values = [
        ("monotonic_ns", reading.monotonic_ns),
        ("realtime_ns", reading.realtime_ns),
        ("boottime_ns", reading.boottime_ns),
        ("err_ns", reading.err_ns),
    ];
    let columns = values.map(|(name, _)| rows.column(name));
    rows.begin(writer.anchor().ts(reading.monotonic_ns), "host.clock");
    for (column, (_, value)) in columns.into_iter().zip(values) {
        rows.i64(column, value);
    }
    rows.finish()
}

fn session(store: &Store) -> Session {
    store.session(&"run".parse().unwrap()).unwrap()
}

/// The sealed files of table `pipeline`.
fn files(dir: &SessionDir) -> Vec<PathBuf> {
    let days = index::read(dir, "pipeline").unwrap();
    days.iter().flat_map(|d| d.files.iter().map(|e| d.folder.join(&e.file))).collect()
}

fn flip(path: &Path, place: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[place] ^= 0x04;
    std::fs::write(path, bytes).unwrap();
}

fn kinds(report: &Report) -> Vec<FindingKind> {
    report.findings.iter().map(|f| f.kind).collect()
}

#[test]
fn what_is_whole_stays_as_it_is() {
    let (root, _store, dir) = sealed();
    let before = tempfile::tempdir().unwrap();
    copy(root.path(), before.path());
    let repaired = repair(&dir).unwrap();
    assert!(repaired.mended.is_empty() && repaired.failed.is_empty(), "{repaired:?}");
    assert_eq!(repaired.report.verdict(), Verdict::Whole, "{repaired:?}");
    let differences = std::process::Command::new("diff")
        .args(["-r", "-x", "maintenance", "-x", "lock"])
        .args([before.path(), root.path()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&differences.stdout), "");
}

/// A byte in the data pages, and the file cut in half: the others stay, and what was lost is told with its count.
#[test]
fn a_damaged_file_is_set_aside_with_its_count() {
    for cut in [false, true] {
        let (_root, store, dir) = sealed();
        let path = files(&dir).remove(0);
        let length = std::fs::metadata(&path).unwrap().len();
        match cut {
            true => std::fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(length / 2)
                .unwrap(),
            false => flip(&path, 60),
        }
        let damaged = std::fs::read(&path).unwrap();
        let repaired = repair(&dir).unwrap();
        assert!(repaired.failed.is_empty(), "{repaired:?}");
        assert_eq!(repaired.mended.len(), 1, "{repaired:?}");
        assert_eq!(repaired.mended[0].mending, Mending::SetAside(Some(100)));
        assert!(repaired.mended[0].to_string().starts_with(path.to_str().unwrap()));
        // It is kept to the byte, and told until somebody removes it.
        let kept = path.with_file_name("_000001.parquet.damaged");
        assert_eq!(std::fs::read(&kept).unwrap(), damaged);
        assert_eq!(kinds(&repaired.report), [FindingKind::SetAside]);
        assert_eq!(repaired.report.findings[0].path, kept);
        assert_eq!(frames(&session(&store)), (100..200).collect::<Vec<i64>>());
        assert_eq!(session(&store).manifest().rows["pipeline"], 100);
        let told = health(&store, "run", "damaged");
        assert_eq!((told.len(), told[0].0), (1, 100), "{told:?}");
        assert!(told[0].1.contains("000001.parquet"), "{told:?}");
        // A second repair has nothing to do.
        let again = repair(&dir).unwrap();
        assert!(again.mended.is_empty() && again.failed.is_empty(), "{again:?}");
        assert_eq!(again.report, verify(&dir).unwrap());
    }
}

#[test]
fn an_index_that_is_missing_or_damaged_is_made_anew() {
    for damaged in [false, true] {
        let (_root, store, dir) = sealed();
        let day = index::read(&dir, "pipeline").unwrap().remove(0);
        let path = day.folder.join("_index");
        match damaged {
            true => flip(&path, 30),
            false => std::fs::remove_file(&path).unwrap(),
        }
        assert_ne!(verify(&dir).unwrap().verdict(), Verdict::Whole);
        let repaired = repair(&dir).unwrap();
        assert_eq!(repaired.report.verdict(), Verdict::Whole, "{repaired:?}");
        assert_eq!(repaired.mended[0].mending, Mending::Indexed);
        let made = index::read(&dir, "pipeline").unwrap().remove(0);
        for (entry, before) in made.files.iter().zip(&day.files) {
            assert_eq!((entry.crc32, entry.rows), (before.crc32, before.rows));
            // Whoever reads it knows that nothing tells of the time before.
            assert_eq!(entry.other["adopted"], true);
        }
        assert_frames(&session(&store), 200);
    }
}

/// Without an index nobody can tell a flipped byte that decodes; one that does not is found.
#[test]
fn a_file_that_cannot_be_read_gets_no_checksum() {
    let (_root, _store, dir) = sealed();
    let path = files(&dir).remove(0);
    // In the header of the first page.
    flip(&path, 5);
    std::fs::remove_file(path.parent().unwrap().parent().unwrap().join("_index")).unwrap();
    let repaired = repair(&dir).unwrap();
    let aside = |m: &&bl_store::Mended| m.mending == Mending::SetAside(Some(100));
    assert_eq!(repaired.mended.iter().filter(aside).count(), 1, "{repaired:?}");
    assert_eq!(files(&dir).len(), 1);
}

#[test]
fn orphans_are_sealed() {
    let (_root, store) = killed(500);
    let dir = store.dir(&"run".parse().unwrap());
    let before = verify(&dir).unwrap();
    assert_eq!(kinds(&before), [FindingKind::Orphan, FindingKind::Orphan], "{before:?}");
    assert_eq!(before.verdict(), Verdict::Whole);
    let repaired = repair(&dir).unwrap();
    assert_eq!(repaired.mended[0].mending, Mending::Sealed);
    assert_eq!((repaired.report.verdict(), kinds(&repaired.report)), (Verdict::Whole, vec![]));
    assert_eq!(session(&store).manifest().state, State::Recovered);
    assert_frames(&session(&store), 500);
}

/// The stamps stay what they were, to the nanosecond, and what nothing tells is called unknown.
#[test]
fn session_json_is_made_up_from_the_rows() {
    let half = |text: &str| Some(text[..text.len() / 2].to_owned());
    type Way = (&'static str, fn(&str) -> Option<String>);
    let ways: [Way; 5] = [
        ("missing", |_| None),
        ("empty", |_| Some(String::new())),
        ("half", half),
        ("zeros", |text| Some("\0".repeat(text.len()))),
        ("not utf-8", |_| Some("\u{fffd}".into())),
    ];
    for (way, damage) in ways {
        let (_root, store, dir) = sealed();
        let before = session(&store).manifest().clone();
        let path = dir.manifest();
        let text = std::fs::read_to_string(&path).unwrap();
        let damaged = damage(&text);
        match &damaged {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let found = verify(&dir).unwrap();
        assert_eq!(found.verdict(), Verdict::Damaged, "{way}");
        assert!(found.findings.iter().any(|f| f.path == path), "{way}: {found:?}");
        let repaired = repair(&dir).unwrap();
        assert!(repaired.failed.is_empty(), "{way}: {repaired:?}");
        assert_eq!(repaired.mended[0].mending, Mending::Rebuilt, "{way}");
        let after = session(&store).manifest().clone();
        assert_eq!(after.anchor.utc_minus_monotonic_ns, before.anchor.utc_minus_monotonic_ns);
        // The bound holds: the old anchor was measured to `err_ns`.
        assert!(after.anchor.err_ns < 100_000_000, "{way}: {:?}", after.anchor);
        assert_eq!((&after.id, &after.node), (&before.id, &before.node), "{way}");
        assert_eq!(after.rows["pipeline"], 200, "{way}");
        assert_eq!(after.state, State::Recovered, "{way}");
        let first: Vec<i64> = rows(&session(&store), "pipeline")
            .iter()
            .map(|b| b["ts"].as_primitive::<TimestampNanosecondType>().value(0))
            .collect();
        assert!(after.started_ns <= *first.iter().min().unwrap(), "{way}");
        assert!(after.other["rebuilt"]["unknown"].to_string().contains("boot_id"), "{way}");
        assert_eq!(repaired.report.verdict(), Verdict::Whole, "{way}: {repaired:?}");
        if let Some(text) = damaged {
            let kept = path.with_file_name("session.json.damaged");
            assert_eq!(std::fs::read_to_string(kept).unwrap(), text, "{way}");
        }
    }
}

/// Without rows of `clock` nothing ties the stamps to the monotonic clock: that is told, not guessed.
#[test]
fn an_anchor_that_nothing_tells_is_unknown() {
    let (root, store) = killed(300);
    let dir = store.dir(&"run".parse().unwrap());
    let path = root.path().join("sessions/run/session.json");
    // One key of it makes no sense: the others are taken over.
    let text = std::fs::read_to_string(&path).unwrap();
    let mut left: serde_json::Value = serde_json::from_str(&text).unwrap();
    left["utc_minus_monotonic_ns"] = "yesterday".into();
    std::fs::write(&path, left.to_string()).unwrap();
    repair(&dir).unwrap();
    let manifest = session(&store).manifest().clone();
    assert!(manifest.anchor_estimated);
    assert_eq!(manifest.node, "host");
    assert_eq!(manifest.boot_id, bl_store::boot_id());
    let unknown = manifest.other["rebuilt"]["unknown"].to_string();
    assert!(unknown.contains("utc_minus_monotonic_ns"), "{unknown}");
    assert!(!unknown.contains("boot_id"), "{unknown}");
    assert_frames(&session(&store), 300);
}

#[test]
fn what_a_newer_program_wrote_is_left_alone() {
    let (_root, _store, dir) = sealed();
    let path = dir.manifest();
    let text = std::fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(verify(&dir).unwrap().verdict(), Verdict::CannotTell);
    let refused = repair(&dir).unwrap_err().to_string();
    assert!(refused.contains("format 2 is newer"), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn numbers_of_which_nothing_is_known_are_told() {
    let (_root, _store, dir) = sealed();
    let path = files(&dir).remove(0);
    let day = path.parent().unwrap().parent().unwrap().to_owned();
    std::fs::remove_dir_all(&day).unwrap();
    let report = verify(&dir).unwrap();
    assert_eq!(kinds(&report), [FindingKind::Gap], "{report:?}");
    assert!(report.findings[0].what.contains("segments 1 to 2"), "{report:?}");
    assert_eq!(report.verdict(), Verdict::CannotTell);
    std::fs::write(dir.raw("pipeline").join("_highest"), "x\n").unwrap();
    assert_eq!(kinds(&verify(&dir).unwrap()), [FindingKind::Damaged]);
}

/// A sealed file that was damaged before its segment went is made again from it.
#[test]
fn a_segment_that_is_still_there_mends_its_file() {
    let (root, store) = killed(500);
    let dir = store.dir(&"run".parse().unwrap());
    let segment = root.path().join("sessions/run/raw/pipeline/open/000001.wal");
    let bytes = std::fs::read(&segment).unwrap();
    store.recover().unwrap();
    flip(&files(&dir)[0], 60);
    std::fs::write(&segment, bytes).unwrap();
    let repaired = repair(&dir).unwrap();
    assert_eq!(repaired.report.verdict(), Verdict::Whole, "{repaired:?}");
    assert_frames(&session(&store), 500);
    assert!(!segment.exists());
}
