//! `bl align` and `bl query --job` as they are run.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in what they call")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bl_store::clock::Anchor;
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

/// Exit code, standard output and standard error of `bl`.
fn bl(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_bl"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("BENCHLAB_DATA_ROOT", folder.join("data"))
        .env("BENCHLAB_CONFIG", folder.join("config.toml"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// A session of as many frames, 20 ms apart and 5 ms long, every tenth of them dropped.
fn record(folder: &Path, name: &str, frames: i64) {
    record_keyed(folder, name, frames, |_, frame| [Some(frame), None]);
}

/// The same with frame numbers and running times of a stage's events as they are told.
fn record_keyed(folder: &Path, name: &str, frames: i64, keys: fn(&str, i64) -> [Option<i64>; 2]) {
    let spec = SessionSpec {
        id: Some(name.parse().unwrap()),
        node: "lab".into(),
        estimated_anchor: Some(Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }),
        ..SessionSpec::default()
    };
    let options = WriteOptions { flush_every: Duration::from_millis(5), ..WriteOptions::default() };
    let writer = SessionWriter::begin(&Store::new(folder.join("data")), spec, options).unwrap();
    let table = bl_schemas::table("pipeline").unwrap();
    let mut rows = Rows::new(table);
    let [stage, number, running] = ["stage", "frame", "key_ns"].map(|name| rows.column(name));
    for frame in 0..frames {
        // Without keys it takes an uneven tick to tell frames apart.
        let uneven_ns = match keys("ingress", frame) {
            [None, None] => frame * 7_919 % 4_001 * 1_000,
            _ => 0,
        };
        let ts = 1_762_871_400_000_000_000 + frame * 20_000_000 + uneven_ns;
        for (name, ts) in [("ingress", ts), ("encoded", ts + 5_000_000)] {
            if name == "encoded" && frame % 10 == 3 {
                continue;
            }
            rows.begin(ts, "socket");
            rows.str(stage, name);
            let [frame, key_ns] = keys(name, frame);
            if let Some(frame) = frame {
                rows.i64(number, frame);
            }
            if let Some(key_ns) = key_ns {
                rows.i64(running, key_ns);
            }
        }
    }
    writer.append(table, rows.finish()).unwrap();
    writer.flush().unwrap();
    writer.finish().unwrap();
}

#[test]
fn frames_are_aligned_once_and_asked_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let flow = folder.join("flow.toml");
    std::fs::write(&flow, "[[steps]]\nid = \"capture\"\nlatency_target_ms = 20\n").unwrap();
    std::fs::write(folder.join("config.toml"), format!("[flows]\nfile = {flow:?}\n")).unwrap();
    let (code, _, err) = bl(folder, &["align"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no session"), "{err}");

    record(folder, "empty", 0);
    let (code, _, err) = bl(folder, &["align"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no event of stage ingress and encoded"), "{err}");
    let (code, out, err) = bl(folder, &["query", "--job", "stats"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("no stage events"), "{err}");

    record(folder, "run", 100);
    let (code, out, err) = bl(folder, &["align", "--session", "run"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(err.contains("run ingress -> encoded: 100 frames, 10 of them dropped"), "{err}");
    let (code, _, err) = bl(folder, &["align", "--session", "all"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("run ingress -> encoded: nothing new"), "{err}");

    let job = ["query", "--job", "stats", "--stage-a", "ingress", "--stage-b", "encoded"];
    let (code, out, err) = bl(folder, &job);
    assert_eq!(code, 0, "{err}");
    assert!(out.lines().nth(1).unwrap().starts_with("run,,100,10,0,10.0,5.0,5.0,5.0"), "{out}");
    let (code, out, err) = bl(folder, &["query", "--job", "flow"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(",capture,20.0,"), "{out}");

    let (code, _, err) = bl(folder, &["query", "--job", "stats", "--stage-b", "shown"]);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("no frame ever passed stage 'shown': there are encoded, ingress"),
        "{err}"
    );
    let (code, _, err) = bl(folder, &["align", "--stage-b", "shown"]);
    assert_eq!(code, 1, "{err}");
    let (code, _, err) = bl(folder, &["align", "--stage-a", "x", "--stage-b", "x"]);
    assert_eq!(code, 2, "{err}");
    let (code, out, _) = bl(folder, &["query", "--job"]);
    assert_eq!(code, 0);
    assert!(out.contains("efficiency") && out.contains("gap_ms"), "{out}");
    let (code, _, err) = bl(folder, &["query", "--job", "stat"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("did you mean 'stats'?"), "{err}");
    let (code, _, err) = bl(folder, &["query", "--job", "gaps", "--param", "gap=1"]);
    assert_ne!(code, 0, "{err}");
    assert!(err.contains("did you mean 'gap_ms'?"), "{err}");
}

/// An encoder that loses the frame number keeps the running time; other programs tell no key at all.
#[test]
fn pairs_are_the_same_aligned_asked_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    std::fs::write(folder.join("config.toml"), "").unwrap();
    record_keyed(folder, "lost", 100, |stage, frame| {
        [(stage == "ingress").then_some(frame), Some(frame * 20_000_000)]
    });
    record_keyed(folder, "none", 100, |_, _| [None, None]);
    for session in ["lost", "none"] {
        let counts = |from: &str| {
            let sql = format!(
                "SELECT count(*) AS n, count(*) FILTER (WHERE dropped) AS d, count(*) FILTER (WHERE latency_ms = 5) AS p \
                 FROM {from}"
            );
            let (code, out, err) =
                bl(folder, &["query", "--session", session, "--format", "csv", &sql]);
            assert_eq!(code, 0, "{err}");
            out
        };
        let wanted = "n,d,p\n100,10,90\n";
        assert_eq!(counts("latency"), wanted, "{session}, on the spot");
        let pairs =
            "(SELECT latency_ns / 1e6 AS latency_ms, dropped FROM pair('ingress', 'encoded'))";
        assert_eq!(counts(pairs), wanted, "{session}, in SQL");
        let (code, _, err) = bl(folder, &["align", "--session", session]);
        assert_eq!(code, 0, "{err}");
        assert_eq!(counts("latency"), wanted, "{session}, aligned");
        let file = format!("{session}.csv");
        let stages = ["--stage-a", "ingress", "--stage-b", "encoded", "--application", "x"];
        let call = ["export", "cx", "--session", session, "-o", &file];
        let (code, _, err) = bl(folder, &[&call, &stages[..]].concat());
        assert_eq!(code, 0, "{err}");
        assert!(err.contains("10 of 100 frames never reached encoded"), "{session}: {err}");
        assert_eq!(err.contains("paired by their order"), session == "none", "{err}");
    }
}

#[test]
fn a_job_is_exported_as_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    std::fs::write(folder.join("config.toml"), "").unwrap();
    record(folder, "run", 100);
    let stages = ["--stage-a", "ingress", "--stage-b", "encoded"];
    let ask = |call: &[&str]| bl(folder, &[call, &stages[..]].concat());

    let (code, asked, err) = ask(&["query", "--format", "csv", "--job", "stats"]);
    assert_eq!(code, 0, "{err}");
    assert!(asked.lines().count() > 1, "{asked}");
    let (code, csv, err) = ask(&["export", "csv", "--job", "stats"]);
    assert_eq!((code, csv.as_str()), (0, asked.as_str()), "{err}");

    let (code, out, err) = ask(&["export", "json", "--job", "stats", "-o", "stats.json"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let json = std::fs::read_to_string(folder.join("stats.json")).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.len(), asked.lines().count() - 1, "{json}");
    let (code, _, err) = ask(&["export", "parquet", "--job", "stats", "-o", "stats.parquet"]);
    assert_eq!(code, 0, "{err}");
    let (code, read, err) =
        bl(folder, &["query", "--table", "s=stats.parquet", "--format", "csv", "SELECT * FROM s"]);
    assert_eq!((code, read.as_str()), (0, asked.as_str()), "{err}");

    // A parameter reaches the job, and one that it has not is refused.
    let (code, other, err) = ask(&["export", "csv", "--job", "stats", "--param", "pipeline=none"]);
    assert_eq!(code, 0, "{err}");
    assert_ne!(other, asked);
    let (code, _, err) = ask(&["export", "csv", "--job", "stats", "--param", "nonsense=1"]);
    assert_ne!(code, 0);
    assert!(err.contains("nonsense"), "{err}");
    let (code, _, err) = bl(folder, &["export", "csv", "--job", "stats", "SELECT 1"]);
    assert_eq!(code, 2, "{err}");
    for call in [&["export", "csv"][..], &["query"]] {
        let (code, _, err) = bl(folder, &[call, &["--param", "a=1", "SELECT 1"]].concat());
        assert_eq!(code, 2, "{err}");
    }
}
