//! What a query asks of the store: which files have rows of a span, and whether they are as they were written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod many_files;
mod recording;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::{SessionWriter, Store, StoreError, Verified, WriteOptions};

use many_files::{HOUR_NS, SPAN_NS, START_NS, many};
use recording::{events, killed, spec};

fn sealed() -> (tempfile::TempDir, bl_store::Session) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let options = WriteOptions { seal_bytes: 1, ..WriteOptions::default() };
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    let table = bl_schemas::table("pipeline").unwrap();
    for k in 0..3 {
        writer.append(table, events(&writer, k * 100..k * 100 + 100)).unwrap();
        writer.flush().unwrap();
        std::thread::sleep(Duration::from_millis(250));
    }
    writer.finish().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    (root, session)
}

/// Every byte of a file, with the time of its change set back, as a disk that rots does it.
#[test]
fn a_flipped_bit_is_found_on_first_read() {
    let (_root, session) = sealed();
    let files = session.files("pipeline", i64::MIN, i64::MAX).unwrap();
    assert_eq!((files.files.len(), files.unreadable.len()), (3, 0));
    let (file, entry) = &files.files[1];
    let whole = std::fs::read(&file.path).unwrap();
    for place in (0..whole.len()).step_by(13) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&file.path, &bytes).unwrap();
        let found = Verified::default().check(&file.path, entry).unwrap_err();
        assert!(matches!(&found, StoreError::Damaged { path, .. } if *path == file.path));
        assert!(found.to_string().contains("000002.parquet: checksum "), "{found}");
    }
    std::fs::write(&file.path, &whole).unwrap();
    assert!(Verified::default().check(&file.path, entry).unwrap());
    std::fs::write(&file.path, &whole[1..]).unwrap();
    let short = Verified::default().check(&file.path, entry).unwrap_err().to_string();
    assert!(short.contains("bytes, "), "{short}");
}

/// Read for it once: afterwards what the disk says is not looked at, until the file changes.
#[test]
fn a_file_is_read_once_as_long_as_it_does_not_change() {
    let (_root, session) = sealed();
    let (file, entry) = session.files("pipeline", i64::MIN, i64::MAX).unwrap().files.remove(0);
    let verified = Verified::default();
    assert!(verified.check(&file.path, &entry).unwrap());
    let before = read_bytes();
    for _ in 0..1_000 {
        assert!(verified.check(&file.path, &entry).unwrap());
    }
    assert!(read_bytes() - before < entry.bytes * 500, "it was read again");
    // The same length, and the time of its change set back: the time of its inode tells.
    let modified = std::fs::metadata(&file.path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&file.path).unwrap();
    bytes[100] ^= 1;
    std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let rotten = std::fs::File::options().write(true).open(&file.path).unwrap();
    std::io::Write::write_all(&mut &rotten, &bytes).unwrap();
    rotten.set_modified(modified).unwrap();
    assert!(verified.check(&file.path, &entry).is_err());
}

/// Bytes that this process has read so far.
fn read_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|l| l.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// What cannot be known is told as unknown.
#[test]
fn a_file_without_a_checksum_is_neither_whole_nor_damaged() {
    let (_root, session) = sealed();
    let day = session.files("pipeline", i64::MIN, i64::MAX).unwrap().files[0].0.path.clone();
    std::fs::remove_file(day.parent().unwrap().parent().unwrap().join("_index")).unwrap();
    for (file, entry) in session.files("pipeline", i64::MIN, i64::MAX).unwrap().files {
        assert_eq!((entry.rows, entry.crc32), (100, None));
        assert!(!Verified::default().check(&file.path, &entry).unwrap());
    }
    std::fs::write(&day, "PAR1 and nothing else").unwrap();
    let files = session.files("pipeline", i64::MIN, i64::MAX).unwrap();
    assert_eq!((files.files.len(), files.unreadable.len()), (2, 1));
    assert!(files.unreadable[0].to_string().contains("000001.parquet"));
}

/// The files of a segment that is still open do not count before its first one appears.
#[test]
fn files_count_by_the_rules_of_the_open_segments() {
    let (root, store) = killed(100);
    let segment = root.path().join("sessions/run/raw/pipeline/open/000001.wal");
    let bytes = std::fs::read(&segment).unwrap();
    store.recover().unwrap();
    std::fs::write(&segment, bytes).unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    let files = || session.files("pipeline", i64::MIN, i64::MAX).unwrap().files;
    let first = files()[0].0.path.clone();
    std::fs::rename(&first, first.with_file_name("000001-1.parquet")).unwrap();
    assert!(files().is_empty());
    std::fs::rename(first.with_file_name("000001-1.parquet"), &first).unwrap();
    assert_eq!(files().len(), 1);
}

/// Files of 70 days; all but the day asked for cannot even be listed, and of that day no file can be read.
#[test]
fn days_and_files_elsewhere_are_not_opened() {
    let root = tempfile::tempdir().unwrap();
    let session = many(root.path(), 700, SPAN_NS * 30);
    let all = session.files("pipeline", i64::MIN, i64::MAX).unwrap();
    assert_eq!((all.files.len(), all.unreadable.len()), (700, 0));
    let from = START_NS + 24 * 20 * HOUR_NS;
    let asked = |(_, e): &&(bl_store::SealedFile, bl_store::index::Entry)| {
        e.overlaps(from, from + HOUR_NS * 3)
    };
    let wanted: Vec<u64> = all.files.iter().filter(asked).map(|(f, _)| f.seq).collect();
    assert!(!wanted.is_empty());
    for day in days(session.dir().path()) {
        if !day.ends_with("date=2026-11-14") && !day.ends_with("date=2026-11-13") {
            // An index that is damaged would be told by whoever reads it, and its files asked, which are none.
            std::fs::write(day.join("_index"), "rubbish").unwrap();
        }
    }
    let found = session.files("pipeline", from, from + HOUR_NS * 3).unwrap();
    assert_eq!(found.files.iter().map(|(f, _)| f.seq).collect::<Vec<_>>(), wanted);
    assert_eq!(found.unreadable.len(), 0);
}

fn days(session: &Path) -> Vec<PathBuf> {
    let raw = session.join("raw/pipeline");
    let days = std::fs::read_dir(raw).unwrap().map(|e| e.unwrap().path());
    days.filter(|d| d.to_str().unwrap().contains("date=")).collect()
}

/// Others are not even looked at: their `session.json` is a pipe that nobody writes, and would hold up whoever reads it.
#[test]
fn to_open_one_session_no_other_is_read() {
    let (root, session) = sealed();
    for n in 0..300 {
        let folder = root.path().join(format!("sessions/other-{n}"));
        std::fs::create_dir_all(folder.join("raw/pipeline")).unwrap();
        let path = folder.join("session.json");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
    }
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let root_path = root.path().to_owned();
    std::thread::Builder::new()
        .spawn(move || {
            let store = Store::new(root_path);
            let session = store.session(&"run".parse().unwrap()).unwrap();
            let files = session.files("pipeline", i64::MIN, i64::MAX).unwrap().files.len();
            sender.send((store.session_ids().unwrap().len(), files)).unwrap();
        })
        .unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)).unwrap(), (301, 3));
    assert_eq!(session.id().as_str(), "run");
}
