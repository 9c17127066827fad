//! Recordings of released formats open for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod own_reader;
mod recording;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Decimal128Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use bl_store::verify::{Verdict, verify};
use bl_store::{Session, SessionWriter, State, Store, WriteOptions, index};

use recording::{copy, rows};

/// What the program that recorded a session told of it: rows of benchlab, pipeline, clock and health, the sum of `sys_w` in
/// milliwatts, the sum of the frames' numbers, the first and the last stamp of pipeline.
type Told = ([usize; 4], i64, i64, [i64; 2]);

const ENDED: Told =
    ([19, 359, 7, 10], 6_174_250, 21_489, [1_795_557_229_238_717_552, 1_795_557_231_240_463_891]);
const KILLED: Told =
    ([25, 456, 6, 10], 6_655_945, 34_681, [1_795_557_231_594_088_898, 1_795_557_234_135_624_337]);

fn tell(session: &Session) -> Told {
    let all = |table: &str| rows(session, table);
    let count = |table: &str| all(table).iter().map(RecordBatch::num_rows).sum();
    let stamps: Vec<i64> = all("pipeline")
        .iter()
        .flat_map(|b| b["ts"].as_primitive::<TimestampNanosecondType>().values().to_vec())
        .collect();
    (
        ["benchlab", "pipeline", "clock", "health"].map(count),
        all("benchlab").iter().flat_map(|b| milliwatts(&b["sys_w"])).sum(),
        all("pipeline").iter().flat_map(|b| ints(&b["frame"])).sum(),
        [*stamps.iter().min().unwrap(), *stamps.iter().max().unwrap()],
    )
}

fn ints(column: &dyn Array) -> Vec<i64> {
    column.as_primitive::<Int64Type>().iter().flatten().collect()
}

/// Sealed files announce wide decimals, segments have narrow ones.
fn milliwatts(column: &dyn Array) -> Vec<i64> {
    match column.as_primitive_opt::<Decimal32Type>() {
        Some(narrow) => narrow.iter().flatten().map(i64::from).collect(),
        None => {
            column.as_primitive::<Decimal128Type>().iter().flatten().map(|w| w as i64).collect()
        }
    }
}

fn opened() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/v1");
    copy(std::path::Path::new(recorded), root.path());
    let store = Store::new(root.path());
    (root, store)
}

#[test]
fn version_1_reads_as_it_was_recorded() {
    let (root, store) = opened();
    let (sessions, broken) = store.sessions().unwrap();
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(sessions.iter().map(|s| s.id().as_str()).collect::<Vec<_>>(), ["ended", "killed"]);
    for (session, told) in sessions.iter().zip([ENDED, KILLED]) {
        assert_eq!(session.manifest().format, 1);
        assert_eq!(tell(session), told, "{}", session.id());
        let frames = own_reader::frames(session.dir().path());
        assert_eq!((frames.len(), frames.iter().sum::<i64>()), (told.0[1], told.2));
        let report = verify(session.dir()).unwrap();
        assert_eq!(report.verdict(), Verdict::CannotTell, "without checksums: {report:?}");
    }
    drop(root);
}

#[test]
fn version_1_is_recovered_and_then_reads_the_same() {
    let (_root, store) = opened();
    let (id, recovered) = store.recover().unwrap().remove(0);
    let recovered = recovered.unwrap();
    assert_eq!((id.as_str(), recovered.segments), ("killed", 2), "{recovered:?}");
    assert!(!recovered.damage.is_serious(), "{recovered:?}");
    let session = store.session(&id).unwrap();
    assert_eq!(session.manifest().state, State::Recovered);
    let (mut rows, watts, frames, stamps) = KILLED;
    // One that tells of it.
    rows[3] += 1;
    assert_eq!(tell(&session), (rows, watts, frames, stamps));
    let days = index::read(session.dir(), "pipeline").unwrap();
    let indexed: u64 = days.iter().flat_map(|d| &d.files).map(|e| e.rows).sum();
    assert_eq!(indexed as usize, rows[1]);
}

#[test]
fn version_1_is_gone_on_with() {
    let (_root, store) = opened();
    let id = "ended".parse().unwrap();
    let writer = SessionWriter::reopen(&store, &id, WriteOptions::default()).unwrap();
    writer
        .append(bl_schemas::table("pipeline").unwrap(), recording::events(&writer, 0..5))
        .unwrap();
    let manifest = writer.finish().unwrap();
    assert_eq!(manifest.rows["pipeline"], 364);
    let session = store.session(&id).unwrap();
    assert_eq!(rows(&session, "pipeline").iter().map(RecordBatch::num_rows).sum::<usize>(), 364);
}
