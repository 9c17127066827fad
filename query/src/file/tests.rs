use std::path::Path;

use super::{FileOrder, FileTable};
use crate::output::write_parquet;
use crate::testing::{error, plan, rows, session};

fn table(name: &str, path: &Path, order: FileOrder) -> FileTable {
    FileTable { name: name.to_owned(), path: path.to_owned(), order }
}

#[tokio::test]
async fn a_parquet_file_written_here_keeps_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a [1]*.parquet");
    let query = session(&[]).await;
    let frame =
        query.sql("SELECT value AS ts, value * 2 AS x FROM range(0, 1000) ORDER BY ts").await;
    assert_eq!(write_parquet(frame.unwrap(), &path).await.unwrap().rows, 1000);
    let order = query.register_file(&table("a", &path, FileOrder::Detect)).await.unwrap();
    assert_eq!(order.as_deref(), Some("ts"));
    assert_eq!(rows(&query, "SELECT count(*), max(x) FROM a WHERE ts < 10").await, ["10 18"]);
    query.sql("SET datafusion.optimizer.repartition_file_min_size = 1").await.unwrap();
    query.sql("SET datafusion.execution.target_partitions = 4").await.unwrap();
    let plan = plan(&query, "SELECT * FROM a ORDER BY ts").await;
    assert!(!plan.contains("SortExec:"), "{plan}");
    assert!(!plan.contains("SortPreservingMergeExec"), "{plan}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing unfinished stays behind: {left:?}");
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

#[tokio::test]
async fn a_failed_query_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("a.csv");
    std::fs::write(&csv, "ts,v\n5,11\n4,12\n").unwrap();
    let query = session(&[]).await;
    query.register_file(&table("a", &csv, FileOrder::Detect)).await.unwrap();
    let out = folder.path().join("out.parquet");
    assert!(write_parquet(query.sql("SELECT * FROM a").await.unwrap(), &out).await.is_err());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
