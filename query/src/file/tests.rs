use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float32Array, Float64Array, RecordBatch};
use datafusion::datasource::MemTable;
use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};

use super::{FileOrder, FileTable};
use crate::testing::{error, plan, rows, session, write_parquet};

fn table(name: &str, path: &Path, order: FileOrder) -> FileTable {
    FileTable { name: name.to_owned(), path: path.to_owned(), order }
}

#[tokio::test]
async fn a_parquet_file_written_here_keeps_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a [1]*.parquet");
    let query = session(&[]).await;
    let sql = "SELECT value AS ts, value * 2 AS x FROM range(0, 1000) ORDER BY ts";
    write_parquet(&query, sql, &path).await;
    let order = query.register_file(&table("a", &path, FileOrder::Detect)).await.unwrap();
    assert_eq!(order.as_deref(), Some("ts"));
    assert_eq!(rows(&query, "SELECT count(*), max(x) FROM a WHERE ts < 10").await, ["10 18"]);
    query.sql("SET datafusion.optimizer.repartition_file_min_size = 1").await.unwrap();
    query.sql("SET datafusion.execution.target_partitions = 4").await.unwrap();
    let plan = plan(&query, "SELECT * FROM a ORDER BY ts").await;
    assert!(!plan.contains("SortExec:"), "{plan}");
    assert!(!plan.contains("SortPreservingMergeExec"), "{plan}");
}

#[tokio::test]
async fn a_file_out_of_order_is_told_by_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "ts,v\n1,10\n5,11\n4,12\n").unwrap();
    let query = session(&[]).await;
    query.register_file(&table("a", &path, FileOrder::Detect)).await.unwrap();
    let found = error(&query, "SELECT * FROM a").await;
    assert!(found.contains("row 2 holds 4 after 5"), "{found}");
    assert!(found.contains(",unsorted"), "{found}");
    query.register_file(&table("b", &path, FileOrder::Unsorted)).await.unwrap();
    let sql = "SELECT x.v, y.v FROM b x ASOF JOIN b y MATCH_CONDITION (x.ts > y.ts) ORDER BY x.ts";
    assert_eq!(rows(&query, sql).await, ["10", "12 10", "11 12"]);
}

#[tokio::test]
async fn files_that_cannot_be_tables() {
    let folder = tempfile::tempdir().unwrap();
    let query = session(&[]).await;
    let missing = table("a", &folder.path().join("none.csv"), FileOrder::Detect);
    assert!(query.register_file(&missing).await.unwrap_err().to_string().contains("none.csv"));
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "t,v\n1,x\n").unwrap();
    let order = |name: &str| FileOrder::By(name.to_owned());
    let unknown = query.register_file(&table("a", &path, order("ts"))).await.unwrap_err();
    assert!(unknown.to_string().contains("no column ts"), "{unknown}");
    let text = query.register_file(&table("a", &path, order("v"))).await.unwrap_err();
    assert!(text.to_string().contains("cannot be checked"), "{text}");
}

/// Parquet leaves NaN out of its bounds: a column of one number and NaN is no column of one number.
#[tokio::test]
async fn nan_stays_nan() {
    let folder = tempfile::tempdir().unwrap();
    let (nan, nan32) = (f64::NAN, f32::NAN);
    for (at, (wide, narrow)) in [
        (vec![102.971, nan], vec![nan32, 7.5]),
        (vec![nan, nan], vec![1.0, 1.0]),
        (vec![nan, -1.0, nan], vec![nan32, nan32, nan32]),
    ]
    .into_iter()
    .enumerate()
    {
        let columns: [(&str, ArrayRef); 2] = [
            ("x", Arc::new(Float64Array::from(wide))),
            ("y", Arc::new(Float32Array::from(narrow))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let query = session(&[]).await;
        let memory = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        query.context().register_table("m", Arc::new(memory)).unwrap();
        let path = folder.path().join(format!("{at}.parquet"));
        write_parquet(&query, "SELECT * FROM m", &path).await;
        query.register_file(&table("f", &path, FileOrder::Detect)).await.unwrap();
        for sql in [
            "SELECT x, y FROM {t}",
            "SELECT count(*) FROM {t} WHERE isnan(x)",
            "SELECT x FROM {t} WHERE y = y",
            "SELECT min(x), max(x), min(y), max(y), sum(x) FROM {t}",
            "SELECT DISTINCT y FROM {t} ORDER BY y",
        ] {
            let of = |table: &str| sql.replace("{t}", table);
            assert_eq!(rows(&query, &of("f")).await, rows(&query, &of("m")).await, "{at} {sql}");
        }
    }
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let query = session(&[]).await;
    for name in ["good", "bad"] {
        let path = folder.path().join(format!("{name}.parquet"));
        let sql = "SELECT value AS ts, value * 7919 % 1000 AS x FROM range(0, 20000)";
        write_parquet(&query, sql, &path).await;
        query.register_file(&table(name, &path, FileOrder::Detect)).await.unwrap();
    }
    let path = folder.path().join("bad.parquet");
    let footer = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let (start, length) = footer.metadata().row_group(0).column(1).byte_range();
    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(start)).unwrap();
    file.write_all(&vec![0xAA; length as usize]).unwrap();
    let ask = async |sql: &str| {
        let statement = query.statements(sql).unwrap().pop().unwrap();
        query.answer(statement).await?.drain().await
    };
    for sql in [
        "SELECT sum(x) FROM bad",
        "SELECT g.x FROM good g JOIN bad b ON g.ts = b.ts WHERE b.x > 3",
        "SELECT x FROM bad ORDER BY x LIMIT 1",
    ] {
        let found = ask(sql).await.unwrap_err().to_string();
        assert!(found.starts_with(&format!("{} is damaged: ", path.display())), "{sql}: {found}");
        assert!(
            found.ends_with("; restore it or move it away") && !found.contains('\n'),
            "{found}"
        );
    }
    ask("SELECT sum(x) FROM good").await.unwrap();
    ask("SELECT sum(ts) FROM bad").await.unwrap();
    std::fs::write(&path, b"PAR1 and then nothing that is Parquet").unwrap();
    let found = query.register_file(&table("worse", &path, FileOrder::Detect)).await.unwrap_err();
    assert!(found.to_string().contains("bad.parquet"), "{found}");
}
