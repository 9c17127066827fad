use std::path::Path;

use bl_query::{Query, Settings};

use super::{FORMATS, TableFormat};

async fn text(format: &str, sql: &str) -> String {
    let query = Query::new(&Settings::default()).unwrap();
    let answer = query.answer(query.statements(sql).unwrap().remove(0)).await.unwrap();
    let mut out = Vec::new();
    TableFormat::named(format).unwrap().write(answer, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

const ROWS: &str = "SELECT value AS n, make_array(value, 0.5) AS list FROM range(1, 3)";

#[tokio::test]
async fn each_text_is_what_its_readers_expect() {
    assert_eq!(text("csv", ROWS).await, "n,list\n1,\"[1.0, 0.5]\"\n2,\"[2.0, 0.5]\"\n");
    assert_eq!(
        text("json", ROWS).await,
        "[{\"n\":1,\"list\":[1.0,0.5]},{\"n\":2,\"list\":[2.0,0.5]}]\n"
    );
    assert_eq!(
        text("ndjson", ROWS).await,
        "{\"n\":1,\"list\":[1.0,0.5]}\n{\"n\":2,\"list\":[2.0,0.5]}\n"
    );
    assert!(text("table", "SELECT NULL AS nothing").await.contains("| null    |"));
}

#[tokio::test]
async fn an_answer_without_rows_has_its_heading() {
    let none = "SELECT value AS n FROM range(1, 3) WHERE value > 5";
    assert_eq!(text("csv", none).await, "n\n");
    assert_eq!(text("json", none).await, "[]\n");
    assert_eq!(text("ndjson", none).await, "");
    assert!(text("table", none).await.contains("| n |"));
}

#[test]
fn a_file_is_of_the_form_that_its_name_tells() {
    for format in FORMATS {
        for ending in format.endings {
            let path = format!("x.{ending}");
            assert_eq!(TableFormat::of_file(Path::new(&path)).unwrap().name, format.name);
        }
    }
    assert!(TableFormat::of_file(Path::new("x.xlsx")).is_none());
    assert!(TableFormat::of_file(Path::new("csv")).is_none());
}

#[tokio::test]
async fn a_file_appears_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let query = Query::new(&Settings::default()).unwrap();
    for format in FORMATS {
        let answer =
            async |sql| query.answer(query.statements(sql).unwrap().remove(0)).await.unwrap();
        let path = folder.path().join(format!("a.{}", format.endings[0]));
        let rows =
            format.write_file(answer("SELECT value FROM range(0, 100000)").await, &path).await;
        assert_eq!(rows.unwrap(), 100_000, "{}", format.name);
        let whole = std::fs::read(&path).unwrap();
        // It fails in the last row: what was there stays, and nothing is left beside it.
        let fails = "SELECT 1 / (99999 - value) FROM range(0, 100000)";
        assert!(format.write_file(answer(fails).await, &path).await.is_err(), "{}", format.name);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), FORMATS.len());
}
