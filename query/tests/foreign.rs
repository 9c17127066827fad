//! Files of the store that another tool wrote anew: read by name and unit, or refused by their name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

mod recording;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use bl_query::tables::SessionFilter;
use bl_query::{Query, QueryError, Settings};
use bl_store::Store;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

async fn ask(store: &Store, sql: &str) -> Result<String, QueryError> {
    let query = Query::new(&Settings::default())?;
    query.register_store(store.clone(), SessionFilter::All)?;
    let answer = query.answer(query.statements(sql)?.remove(0)).await?;
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_header(true).build(&mut text);
    writer.write(&RecordBatch::new_empty(answer.schema())).unwrap();
    let mut batches = answer.stream().await?;
    while let Some(batch) = batches.next().await {
        writer.write(&batch?).unwrap();
    }
    drop(writer);
    Ok(String::from_utf8(text).unwrap())
}

/// The raw files of a table.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
}

/// Writes a file anew with what `change` makes of its rows.
fn rewrite(path: &Path, change: impl Fn(&RecordBatch) -> RecordBatch) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(|b| change(&b.unwrap())).collect();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batches[0].schema(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

fn with_stamps(batch: &RecordBatch, to: &DataType) -> RecordBatch {
    let schema = batch.schema();
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if field.name() == "ts" {
            (Arc::new(Field::new("ts", to.clone(), true)), cast(column, to).unwrap())
        } else {
            (Arc::clone(field), Arc::clone(column))
        }
    });
    let (fields, columns): (Vec<Arc<Field>>, Vec<ArrayRef>) = columns.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The columns the other way round, so that the first is another one.
fn turned(batch: &RecordBatch) -> RecordBatch {
    let columns: Vec<usize> = (0..batch.num_columns()).rev().collect();
    batch.project(&columns).unwrap()
}

/// The rows in an order that is not that of time.
fn shuffled(batch: &RecordBatch) -> RecordBatch {
    let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
    rows.sort_by_key(|row| row.wrapping_mul(2_654_435_761));
    take_record_batch(batch, &UInt32Array::from(rows)).unwrap()
}

const QUESTIONS: [&str; 6] = [
    "SELECT min(ts), max(ts), count(*) FROM pipeline",
    "SELECT count(*), min(frame), max(frame) FROM pipeline WHERE ts >= '2025-11-11T14:30:05' AND ts < '2025-11-11T14:30:06'",
    "SELECT ts, stage, frame FROM pipeline ORDER BY ts, stage LIMIT 7",
    "SELECT ts, stage, frame FROM pipeline WHERE frame = 500 ORDER BY ts",
    "SELECT count(*), sum(latency_ns) FROM pair('ingress', 'encoded', drops => false)",
    "SELECT stage, count(sys_w), sum(sys_w) FROM pipeline p ASOF JOIN benchlab b MATCH_CONDITION (p.ts >= b.ts) \
     GROUP BY stage ORDER BY stage",
];

#[tokio::test]
async fn raw_files_are_read_by_name_and_unit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    recording::record(&store, "known");
    let mut expected = Vec::new();
    for question in QUESTIONS {
        expected.push(ask(&store, question).await.unwrap());
    }
    assert!(expected[0].contains("2025-11-11T14:30:00"), "{}", expected[0]);
    let mut raw = Vec::new();
    for table in ["pipeline", "benchlab"] {
        files(&folder.path().join("sessions/known/raw").join(table), &mut raw);
    }
    assert!(raw.len() >= 2, "{raw:?}");
    let kept: Vec<Vec<u8>> = raw.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let utc = |unit| DataType::Timestamp(unit, Some("UTC".into()));
    type Change<'a> = (&'a str, Box<dyn Fn(&RecordBatch) -> RecordBatch>);
    let changes: [Change<'_>; 7] = [
        ("us", Box::new(move |b| with_stamps(b, &utc(TimeUnit::Microsecond)))),
        ("ms", Box::new(move |b| with_stamps(b, &utc(TimeUnit::Millisecond)))),
        (
            "no zone",
            Box::new(|b| with_stamps(b, &DataType::Timestamp(TimeUnit::Microsecond, None))),
        ),
        ("whole numbers", Box::new(|b| with_stamps(b, &DataType::Int64))),
        ("turned", Box::new(turned)),
        ("shuffled", Box::new(shuffled)),
        ("all", Box::new(move |b| shuffled(&turned(&with_stamps(b, &utc(TimeUnit::Microsecond)))))),
    ];
    for (what, change) in changes {
        for (path, bytes) in raw.iter().zip(&kept) {
            std::fs::write(path, bytes).unwrap();
            rewrite(path, &change);
        }
        for (question, expected) in QUESTIONS.into_iter().zip(&expected) {
            assert_eq!(&ask(&store, question).await.unwrap(), expected, "{what}: {question}");
        }
    }
}

#[tokio::test]
async fn a_raw_file_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    recording::record(&store, "known");
    let mut raw = Vec::new();
    files(&folder.path().join("sessions/known/raw/pipeline"), &mut raw);
    let path = raw[0].display().to_string();
    let ts = |batch: &RecordBatch| batch.schema().index_of("ts").unwrap();
    rewrite(&raw[0], |batch| {
        let kept: Vec<usize> = (0..batch.num_columns()).filter(|at| *at != ts(batch)).collect();
        batch.project(&kept).unwrap()
    });
    let found = ask(&store, "SELECT count(frame) FROM pipeline").await.unwrap_err().to_string();
    assert!(found.contains(&path) && found.contains("has no column ts"), "{found}");
    let bytes = std::fs::read(&raw[0]).unwrap();
    std::fs::write(&raw[0], &bytes[..bytes.len() / 2]).unwrap();
    let found = ask(&store, "SELECT count(frame) FROM pipeline").await.unwrap_err().to_string();
    assert!(found.contains(&path) && found.contains("is damaged"), "{found}");
}
