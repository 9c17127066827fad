//! What `bl query` says on a terminal: an error once, and what a statement without rows did.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};

/// Status, standard output and standard error of `bl query`.
fn query(folder: &Path, sql: &str) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_bl"))
        .current_dir(folder)
        .env_clear()
        .env("BENCHLAB_DATA_ROOT", folder.join("data"))
        .args(["query", sql])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn errors_and_effects_are_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (sql, status, out, err) in [
        (
            "SELEC 1",
            1,
            "",
            "bl: cannot parse the SQL: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1\n",
        ),
        (
            "DROP TABLE benchlab",
            1,
            "",
            "bl: benchlab is a table of the store, which SQL only reads: it cannot be dropped\n",
        ),
        (
            "SET datafusion.execution.batch_size = 9",
            0,
            "",
            "bl: SET datafusion.execution.batch_size = 9: set for this run only\n",
        ),
        (
            "CREATE TABLE t AS SELECT 1 AS one; DROP TABLE t",
            0,
            "",
            "bl: t is gone for this run only; no file was touched\n",
        ),
        ("SET datafusion.execution.batch_size = 9; SELECT 1 AS one", 0, "one\n1\n", ""),
    ] {
        assert_eq!(query(folder.path(), sql), (status, out.to_owned(), err.to_owned()), "{sql}");
    }
}
