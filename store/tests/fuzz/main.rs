//! Fuzzing on stable Rust: what readers do with bytes that no writer wrote.
//!
//!     BL_FUZZ_SECONDS=20 cargo test --release -p bl-store --test fuzz      (a minute in all: `scripts/fuzz.sh`)
//!     BL_FUZZ_RUNS=10000000 cargo test --release -p bl-store --test fuzz   (`make long`)
//!
//! Each target changes what a recorder wrote, at random; in half of the runs the checksums are put right afterwards, so that
//! what lies behind them is reached. An input that fails is kept in `store/tests/fuzz/failed/`, and those in
//! `store/tests/fuzz/corpus/` are tried first for ever. No coverage guides it: that takes a nightly compiler.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod changes;
#[path = "../recording/mod.rs"]
mod recording;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bl_store::{SegmentReader, Store, StoreError, index};

use changes::{Noise, change};
use recording::killed;

/// What the last panic said.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// What is run with each input: it panics if a promise is broken.
type Run<'a> = &'a dyn Fn(&Input);

/// Bytes, and whether their checksums were put right after they were changed.
struct Input<'a> {
    bytes: &'a [u8],
    is_mended: bool,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|n| n.parse().unwrap())
}

fn here(folder: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder).join(target)
}

/// Runs a target on the corpus, and then on changes of the seeds for as long as was asked for.
fn fuzz(target: &str, seeds: &[Vec<u8>], mend: fn(&mut Vec<u8>), run: Run<'_>) {
    let mut corpus = 0;
    for entry in std::fs::read_dir(here("corpus", target)).into_iter().flatten() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        run(&Input { bytes: &bytes, is_mended: true });
        corpus += 1;
    }
    let runs = number("BL_FUZZ_RUNS").unwrap_or(match number("BL_FUZZ_SECONDS") {
        Some(_) => u64::MAX,
        None => 3_000,
    });
    let time = Duration::from_secs(number("BL_FUZZ_SECONDS").unwrap_or(u64::MAX >> 1));
    let mut noise = Noise::new(number("PROPTEST_RNG_SEED").unwrap_or(7));
    // Panics that the store catches itself would be told thousands of times.
    std::panic::set_hook(Box::new(|panic| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    let (begin, mut done, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while done < runs && begin.elapsed() < time {
        let mut bytes = seeds[noise.below(seeds.len())].clone();
        let other = &seeds[noise.below(seeds.len())];
        for _ in 0..1 + noise.below(4) {
            change(&mut bytes, other, &mut noise);
        }
        let is_mended = noise.below(2) == 0;
        if is_mended {
            mend(&mut bytes);
        }
        let started = Instant::now();
        let ran = catch_unwind(AssertUnwindSafe(|| run(&Input { bytes: &bytes, is_mended })));
        slowest = slowest.max(started.elapsed());
        if ran.is_err() {
            let folder = here("failed", target);
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join(format!("{:08x}", crc32fast::hash(&bytes)));
            std::fs::write(&path, &bytes).unwrap();
            drop(std::panic::take_hook());
            let why = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
            panic!("{target}, run {done}, kept as {}: {why}", path.display());
        }
        done += 1;
    }
    eprintln!("{target}: {corpus} of the corpus, {done} runs, the slowest took {slowest:?}");
}

/// A folder in memory where that is possible: the disk is not what is tested.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

#[test]
fn segment() {
    let (root, _store) = killed(300);
    let open = root.path().join("sessions/run/raw/pipeline/open/000001.wal");
    let seeds = [std::fs::read(open).unwrap()];
    let folder = folder();
    let path = folder.path().join("000001.wal");
    let table = bl_schemas::table("pipeline").unwrap();
    fuzz("segment", &seeds, |bytes| changes::mend_frames(bytes), &|input| {
        std::fs::write(&path, input.bytes).unwrap();
        let Ok(mut reader) = SegmentReader::open(&path, table) else { return };
        let Ok(batches) = reader.read_new() else { return };
        let damage = reader.damage().clone();
        assert!(damage.bytes + damage.torn_bytes <= input.bytes.len() as u64, "{damage:?}");
        if input.is_mended {
            return;
        }
        // Checksums hold: every row is one that was written.
        for frame in batches.iter().filter_map(|b| b.column_by_name("frame")) {
            let frames = frame.as_primitive::<Int64Type>();
            assert!(frames.null_count() == 0);
            assert!(frames.values().iter().all(|f| (0..300).contains(f)), "rows of nobody");
        }
    });
}

#[test]
fn index() {
    let (root, store) = killed(300);
    store.recover().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    let day = index::read(session.dir(), "pipeline").unwrap().remove(0).folder;
    let path = day.join("_index");
    let seed = std::fs::read(&path).unwrap();
    let folder = folder();
    recording::copy(&day, folder.path());
    let path = folder.path().join(path.file_name().unwrap());
    fuzz("index", std::slice::from_ref(&seed), changes::mend_index, &|input| {
        std::fs::write(&path, input.bytes).unwrap();
        let read = index::read_day(folder.path()).unwrap();
        // Whatever it tells, the file that is there is among the files or told.
        assert_eq!(read.files.len() + read.unreadable.len(), 1);
        assert!(input.is_mended || input.bytes == seed || read.damaged.is_some());
    });
    drop(root);
}

#[test]
fn manifest() {
    let (root, _store) = killed(10);
    let path = root.path().join("sessions/run/session.json");
    let seed = std::fs::read(&path).unwrap();
    let folder = folder();
    recording::copy(root.path(), folder.path());
    let store = Store::new(folder.path());
    let path = folder.path().join("sessions/run/session.json");
    fuzz("manifest", &[seed], |_| (), &|input| {
        std::fs::write(&path, input.bytes).unwrap();
        match store.session(&"run".parse().unwrap()) {
            Ok(session) => {
                let text = serde_json::to_string(session.manifest()).unwrap();
                let again: bl_store::Manifest = serde_json::from_str(&text).unwrap();
                assert_eq!(&again, session.manifest());
            }
            Err(
                e @ (StoreError::Manifest { .. } | StoreError::Newer { .. } | StoreError::Io(_)),
            ) => assert!(e.to_string().contains("session.json"), "{e}"),
            Err(e) => panic!("{e}"),
        }
        let (sessions, broken) = store.sessions().unwrap();
        assert_eq!(sessions.len() + broken.len(), 1);
    });
}
