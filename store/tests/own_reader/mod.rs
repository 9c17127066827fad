//! A reader of the store that is written from `docs/format.md` and shares nothing with the store's own: it finds the rows
//! of table `pipeline` by their frame numbers.

#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

/// Frame numbers of all rows of the session's `pipeline`, sorted.
pub fn frames(session: &Path) -> Vec<i64> {
    let table = session.join("raw/pipeline");
    let segments = numbered(&table.join("open"), ".wal");
    let mut sealed: BTreeMap<u64, Vec<(u64, PathBuf)>> = BTreeMap::new();
    for date in names(&table).into_iter().filter(|n| n.starts_with("date=")) {
        for hour in names(&table.join(&date)).into_iter().filter(|n| n.starts_with("hour=")) {
            for ((seq, part), path) in numbered(&table.join(&date).join(&hour), ".parquet") {
                check_hour(&path, &date, &hour);
                sealed.entry(seq).or_default().push((part, path));
            }
        }
    }
    let whole: BTreeSet<u64> = sealed
        .iter()
        .filter(|(_, parts)| parts.iter().any(|(part, _)| *part == 0))
        .map(|(seq, _)| *seq)
        .collect();
    let mut found = Vec::new();
    for ((seq, _), path) in &segments {
        if !whole.contains(seq) {
            found.extend(segment(&std::fs::read(path).unwrap()));
            sealed.remove(seq);
        }
    }
    for (_, path) in sealed.values().flatten() {
        found.extend(parquet_rows(path).iter().flat_map(frame_numbers));
    }
    found.sort();
    found
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// Files whose names are a number, or a number, `-` and another one.
fn numbered(folder: &Path, extension: &str) -> Vec<((u64, u64), PathBuf)> {
    let mut files = Vec::new();
    for name in names(folder) {
        let Some(stem) = name.strip_suffix(extension) else { continue };
        let (seq, part) = stem.split_once('-').unwrap_or((stem, "0"));
        if let (Ok(seq), Ok(part)) = (seq.parse(), part.parse()) {
            assert!(stem.split('-').next().unwrap().len() >= 6, "{name}: six digits or more");
            files.push(((seq, part), folder.join(&name)));
        }
    }
    files
}

fn parquet_rows(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReader::try_new(file, 4096)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    reader.map(|batch| batch.unwrap()).collect()
}

/// All rows of a sealed file are of the UTC hour of its folder, and sorted.
fn check_hour(path: &Path, date: &str, hour: &str) {
    let mut last = i64::MIN;
    for batch in parquet_rows(path) {
        for ts in batch["ts"].as_primitive::<TimestampNanosecondType>().values() {
            let time = jiff::Timestamp::from_nanosecond(i128::from(*ts)).unwrap();
            let folders = time.strftime("date=%Y-%m-%d/hour=%H").to_string();
            assert_eq!(folders, format!("{date}/{hour}"), "{}", path.display());
            assert!(last <= *ts, "{}: not sorted", path.display());
            last = *ts;
        }
    }
}

fn frame_numbers(batch: &RecordBatch) -> Vec<i64> {
    let frames = batch["frame"].as_primitive::<Int64Type>();
    assert_eq!(frames.null_count(), 0);
    frames.values().to_vec()
}

/// The frames of a segment up to the first that does not hold, and behind it every one that does.
fn segment(bytes: &[u8]) -> Vec<i64> {
    let mut found = Vec::new();
    if bytes.len() < 16 {
        return found;
    }
    // Zeros: nothing of it was synced before the power was cut.
    assert!(bytes[..8] == *b"BLSEG\0\0\x01" || bytes[..8] == [0; 8]);
    let mut decoder = arrow_ipc::reader::StreamDecoder::new();
    let mut at = 16;
    while at + 16 <= bytes.len() {
        let word = |i: usize| u32::from_le_bytes(bytes[at + i..at + i + 4].try_into().unwrap());
        let payload = bytes.get(at + 16..at + 16 + word(0) as usize);
        let holds = crc32(&bytes[at..at + 12]) == word(12);
        match payload.filter(|p| holds && crc32(p) == word(8)) {
            Some(payload) => {
                let mut message = Buffer::from(payload.to_vec());
                let mut rows = 0;
                while message.len() >= 8 {
                    if let Some(batch) = decoder.decode(&mut message).unwrap() {
                        rows += batch.num_rows();
                        found.extend(frame_numbers(&batch));
                    }
                }
                assert_eq!(rows, word(4) as usize, "the header counts the rows");
                at += 16 + payload.len();
            }
            None => at += 8,
        }
    }
    found
}

/// As in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c: u32, _| {
            if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 }
        })
    })
}
