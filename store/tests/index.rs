//! The index of a day, and verification by it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use std::path::{Path, PathBuf};

use bl_store::clock::Anchor;
use bl_store::verify::{FindingKind, Verdict, verify};
use bl_store::{Footer, Rows, Session, SessionSpec, SessionWriter, Store, WriteOptions, index};

use recording::{killed, spec};

const HOUR_NS: i64 = 3_600_000_000_000;
/// 2026-11-24 22:00 UTC.
const BEGIN_NS: i64 = 1_795_557_600_000_000_000;

/// Twelve files of four hours over two days.
fn recorded() -> (tempfile::TempDir, Session) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let anchor = Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 };
    let spec = SessionSpec { estimated_anchor: Some(anchor), ..spec("run") };
    let options = WriteOptions { seal_bytes: 1, ..WriteOptions::default() };
    let writer = SessionWriter::begin(&store, spec, options).unwrap();
    let table = bl_schemas::table("pipeline").unwrap();
    for i in 0..12 {
        let mut rows = Rows::new(table);
        let frame = rows.column("frame");
        for k in 0..100 {
            rows.begin(BEGIN_NS + i * HOUR_NS / 3 + k * 1_000, "t");
            rows.i64(frame, i * 100 + k);
        }
        writer.append(table, rows.finish()).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    (root, session)
}

fn days(session: &Session) -> Vec<index::Day> {
    index::read(session.dir(), "pipeline").unwrap()
}

fn crc32(path: &Path) -> u32 {
    crc32fast::hash(&std::fs::read(path).unwrap())
}

#[test]
fn it_tells_what_the_files_tell() {
    let (_root, session) = recorded();
    let days = days(&session);
    let names: Vec<_> = days.iter().map(|d| d.folder.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["date=2026-11-24", "date=2026-11-25"]);
    let mut rows = 0;
    for day in &days {
        assert!(day.gone.is_empty() && day.unreadable.is_empty() && day.damaged.is_none());
        for entry in &day.files {
            let path = day.folder.join(&entry.file);
            let footer = Footer::read(&path).unwrap();
            assert_eq!((entry.rows, entry.format), (footer.rows, 1));
            assert_eq!((entry.min_ts, entry.max_ts), (footer.first_ts, footer.last_ts));
            assert_eq!(entry.bytes, std::fs::metadata(&path).unwrap().len());
            assert_eq!(entry.crc32, Some(crc32(&path)), "{entry:?}");
            rows += entry.rows;
        }
    }
    assert_eq!(rows, 1_200);
    assert_eq!(days.iter().map(|d| d.files.len()).collect::<Vec<_>>(), [6, 6]);
}

/// Files are found by their time, though nothing of them can be read any more: nobody opens them.
#[test]
fn files_are_found_by_time_without_opening_them() {
    let (_root, session) = recorded();
    let between = |from: i64, to: i64| {
        let files = index::files_between(session.dir(), "pipeline", from, to).unwrap();
        files.iter().map(|(file, entry)| (file.seq, entry.rows)).collect::<Vec<_>>()
    };
    for day in days(&session) {
        for entry in &day.files {
            let path = day.folder.join(&entry.file);
            let length = std::fs::metadata(&path).unwrap().len();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(0).unwrap();
            file.set_len(length).unwrap();
        }
    }
    assert_eq!(between(i64::MIN, i64::MAX).len(), 12);
    assert_eq!(between(BEGIN_NS, BEGIN_NS + 1), [(1, 100)]);
    assert_eq!(between(BEGIN_NS + HOUR_NS, BEGIN_NS + HOUR_NS + 99_000), [(4, 100)]);
    assert_eq!(between(BEGIN_NS + 99_001, BEGIN_NS + HOUR_NS / 3), []);
}

#[test]
fn one_that_is_missing_old_or_damaged_is_made_up_for() {
    let (_root, session) = recorded();
    let first = days(&session).remove(0);
    let path = first.folder.join("_index");
    let text = std::fs::read(&path).unwrap();
    let told = |day: &index::Day| day.files.iter().map(|e| (e.rows, e.min_ts)).collect::<Vec<_>>();
    for place in [0, 10, 15, text.len() / 2, text.len() - 1] {
        let mut flipped = text.clone();
        flipped[place] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let day = days(&session).remove(0);
        assert!(day.damaged.is_some(), "at byte {place}");
        assert_eq!(told(&day), told(&first));
        assert!(day.files.iter().all(|e| e.crc32.is_none()));
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told(&days(&session)[0]), told(&first));
    assert_eq!(verify(session.dir()).unwrap().verdict(), Verdict::CannotTell);
    // An old one does not know the newest file, and one that has gone is told.
    std::fs::write(&path, &text).unwrap();
    let known = first.folder.join(&first.files[0].file);
    let foreign = known.with_file_name("000900.parquet");
    std::fs::rename(&known, &foreign).unwrap();
    let day = days(&session).remove(0);
    assert_eq!((day.files.len(), day.gone.len()), (6, 1));
    assert_eq!(day.gone[0], first.files[0]);
    assert!(day.files.iter().any(|e| e.file.ends_with("000900.parquet") && e.crc32.is_none()));
    // Whoever seals next keeps what a newer program has added.
    std::fs::rename(&foreign, &known).unwrap();
    assert_eq!(verify(session.dir()).unwrap().verdict(), Verdict::Whole);
}

#[test]
fn files_whose_writer_died_before_the_index_get_their_checksums() {
    let (root, store) = killed(500);
    store.recover().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    let day = days(&session).remove(0);
    let path = day.folder.join(&day.files[0].file);
    let crc = crc32(&path);
    // As it was between the rename and the index.
    std::fs::remove_file(day.folder.join("_index")).unwrap();
    let open = root.path().join("sessions/run/raw/pipeline/open/000001.wal");
    std::fs::write(&open, []).unwrap();
    let manifest = root.path().join("sessions/run/session.json");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("recovered", "recording");
    std::fs::write(&manifest, text).unwrap();
    store.recover().unwrap();
    assert!(!open.exists());
    assert_eq!(days(&session)[0].files[0].crc32, Some(crc));
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// `BL_FLIPS=10000 cargo test -p bl-store --test index` for the long version.
#[test]
fn every_change_of_a_byte_is_found_and_named() {
    let flips: usize = std::env::var("BL_FLIPS").map_or(150, |n| n.parse().unwrap());
    let (_root, session) = recorded();
    let report = verify(session.dir()).unwrap();
    assert_eq!((report.files, report.verdict()), (12, Verdict::Whole), "{report:?}");
    let mut files = files_below(&session.dir().path().join("raw/pipeline"));
    files.retain(|f| !f.ends_with("_highest"));
    assert_eq!(files.len(), 14);
    let mut noise = 7_u64;
    let mut next = |n: usize| {
        noise =
            noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) as usize % n
    };
    for _ in 0..flips {
        let path = &files[next(files.len())];
        let whole = std::fs::read(path).unwrap();
        let mut bytes = whole.clone();
        let place = next(bytes.len());
        bytes[place] ^= 1 + next(255) as u8;
        std::fs::write(path, &bytes).unwrap();
        let report = verify(session.dir()).unwrap();
        assert_eq!(report.verdict(), Verdict::Damaged, "{} at {place}", path.display());
        let named = |f: &bl_store::verify::Finding| {
            f.kind == FindingKind::Damaged && path.starts_with(&f.path)
        };
        assert!(report.findings.iter().any(named), "{report:?}");
        std::fs::write(path, &whole).unwrap();
    }
    assert_eq!(verify(session.dir()).unwrap().verdict(), Verdict::Whole);
}

#[test]
fn segments_of_the_dead_are_verified_too() {
    let (root, store) = killed(500);
    let session = store.session(&"run".parse().unwrap()).unwrap();
    let report = verify(session.dir()).unwrap();
    assert_eq!((report.segments, report.verdict()), (1, Verdict::Whole), "{report:?}");
    let segment = root.path().join("sessions/run/raw/pipeline/open/000001.wal");
    let mut bytes = std::fs::read(&segment).unwrap();
    let place = bytes.len() - 50;
    bytes[place] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let report = verify(session.dir()).unwrap();
    assert_eq!(report.verdict(), Verdict::Damaged);
    let damaged = report.findings.iter().find(|f| f.kind == FindingKind::Damaged);
    assert_eq!(damaged.unwrap().path, segment);
}
