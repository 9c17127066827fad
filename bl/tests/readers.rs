//! DuckDB, pyarrow, pandas and Polars read the sealed files and agree with `bl query`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

/// `BL_PEERS_PYTHON` is an interpreter that has them: `make peers` makes one.
#[test]
#[ignore = "needs a Python with DuckDB, pyarrow, pandas and Polars: make peers"]
fn other_engines_agree_with_bl_query() {
    let python = std::env::var("BL_PEERS_PYTHON").expect("BL_PEERS_PYTHON names a Python");
    let folder = tempfile::tempdir().unwrap();
    let bl = |arguments: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_bl"))
            .env("BENCHLAB_DATA_ROOT", folder.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let socket = folder.path().join("bl.sock");
    bl(&[
        "ingest",
        "--simulate",
        "--session",
        "run",
        "--duration",
        "3s",
        "--events",
        socket.to_str().unwrap(),
    ]);
    let ours = bl(&[
        "query",
        "--format",
        "csv",
        "SELECT count(*), sum(sys_w), CAST(min(ts) AS BIGINT) FROM benchlab",
    ]);
    let ours: Vec<f64> =
        ours.lines().nth(1).unwrap().split(',').map(|v| v.parse().unwrap()).collect();
    let out = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers.py"))
        .arg(folder.path().join("sessions/run"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let theirs: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(ours[0] > 100.0);
    for engine in ["duckdb", "pyarrow", "pandas", "polars"] {
        assert_eq!(theirs[engine][0].as_f64(), Some(ours[0]), "{engine}: {theirs}");
        let sum = theirs[engine][1].as_f64().unwrap();
        assert!((sum - ours[1]).abs() < 1e-6 * ours[1].abs(), "{engine}: {sum} and {}", ours[1]);
        if let Some(first) = theirs[engine][2].as_f64() {
            // DuckDB's time stamps with a zone are of whole microseconds.
            assert!((first - ours[2]).abs() < 2_000.0, "{engine}: {first} and {}", ours[2]);
        }
    }
    assert_eq!(theirs["sorted"], true);
    assert_eq!(theirs["null_ts"], 0);
}
