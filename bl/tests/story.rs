//! The story of a first day with the real binary: record, ask, import, export, and the obvious mistakes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Bl(tempfile::TempDir);

impl Bl {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bl"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("BENCHLAB_DATA_ROOT", self.path("data"))
            .env("BENCHLAB_CONFIG", self.path("config.toml"))
            .args(arguments)
            .stdin(Stdio::null());
        std::fs::write(
            self.path("config.toml"),
            format!("[pipeline]\nevents = {:?}\n", self.path("bl.sock")),
        )
        .unwrap();
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output of a call that has to succeed.
    fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Exit code and standard error of a call that has to fail.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let out = self.run(arguments);
        assert!(!out.status.success(), "{arguments:?} succeeded");
        (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
    }
}

fn value(csv: &str) -> f64 {
    csv.lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn record_ask_and_hand_on() {
    let bl = Bl::new();
    let out = bl.run(&["ingest", "--simulate", "--session", "first", "--duration", "3s"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("recorded ") && said.contains("try: bl query"), "{said}");

    // Of 150 and of 180: a loaded machine records fewer, and says so.
    assert!(value(&bl.ok(&["query", "SELECT count(*) FROM benchlab"])) > 30.0);
    assert!(
        value(&bl.ok(&["query", "SELECT count(*) FROM pipeline WHERE stage = 'ingress'"])) > 30.0
    );
    assert!(value(&bl.ok(&["query", "SELECT avg(sys_w) FROM benchlab"])) > 50.0);
    let energy = bl.ok(&["query", "SELECT sum(energy_j) FROM latency WHERE NOT dropped"]);
    assert!(value(&energy) > 1.0, "{energy}");
    assert_eq!(
        value(&bl.ok(&["query", "SELECT count(*) FROM benchlab WHERE session = 'other'"])),
        0.0
    );

    let json: serde_json::Value = serde_json::from_str(&bl.ok(&[
        "query",
        "--format",
        "json",
        "SELECT ts, sys_w, ts1_c FROM benchlab LIMIT 3",
    ]))
    .unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    let file = bl.path("out.parquet");
    bl.ok(&["query", "-o", file.to_str().unwrap(), "SELECT * FROM benchlab"]);
    let again = format!("again={}", file.display());
    assert!(value(&bl.ok(&["query", "--table", &again, "SELECT count(*) FROM again"])) > 100.0);
    assert!(bl.ok(&["query", "SHOW TABLES"]).contains("benchlab"));
    assert!(bl.ok(&["query", "DESCRIBE pipeline"]).contains("key_ns"));

    let sessions: serde_json::Value =
        serde_json::from_str(&bl.ok(&["sessions", "--json"])).unwrap();
    assert_eq!(sessions[0]["id"], "first");
    assert_eq!(sessions[0]["state"], "ended");
    assert_eq!(sessions[0]["simulated"], true);
    assert_eq!(sessions[0]["devices"][0]["simulated"], true);

    let cx = bl.path("cx.csv");
    bl.ok(&[
        "export",
        "cx",
        "--session",
        "first",
        "--stage-a",
        "ingress",
        "--stage-b",
        "encoded",
        "--application",
        "game",
        "--format",
        "csv",
        "-o",
        cx.to_str().unwrap(),
    ]);
    let text = std::fs::read_to_string(cx).unwrap();
    assert!(text.starts_with("Application,") && text.lines().count() > 100, "{text:.200}");
}

#[test]
fn a_recording_is_queried_while_it_records_and_takes_marks() {
    let bl = Bl::new();
    let mut child = bl
        .command(&["ingest", "--simulate", "--no-host", "--session", "live"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let out = bl.run(&["query", "--session", "live", "SELECT count(*) FROM benchlab"]);
        if out.status.success() && value(&String::from_utf8_lossy(&out.stdout)) > 20.0 {
            break;
        }
        assert!(Instant::now() < deadline);
    }
    bl.ok(&["mark", "load", "--begin", "--attr", "model=7"]);
    bl.ok(&["mark", "load", "--end"]);
    let (code, said) = bl.fails(&["ingest", "--session", "live", "--duration", "1s"]);
    assert_eq!(code, 1, "{said}");
    assert!(bl.ok(&["sessions"]).contains("recording"));
    let began = Instant::now();
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
    // Two seconds where nothing else runs.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let marks = bl.ok(&["query", "SELECT name, kind, attrs FROM marks ORDER BY ts"]);
    assert_eq!(marks, "name,kind,attrs\nload,begin,\"{\"\"model\"\":7}\"\nload,end,\n");
}

#[test]
fn obvious_mistakes_get_one_clear_sentence() {
    let bl = Bl::new();
    let cases: [(&[&str], i32, &str); 9] = [
        (&["query", "SELECT sysw FROM benchlab"], 1, "no column 'sysw': did you mean 'sys_w'?"),
        (&["query", "SELECT 1 FROM benchlb"], 1, "no table 'benchlb': did you mean 'benchlab'?"),
        (&["query", "--session", "none", "SELECT 1"], 1, "there is no session 'none'"),
        (&["query", "--session", "../x", "SELECT 1"], 2, "is no name for a session"),
        (&["ingest", "--session", "a/b"], 2, "is no name for a session"),
        (&["ingest", "--hz", "0"], 2, "--hz"),
        (&["ingest", "--device", "tty"], 2, "selects no board"),
        (&["mark", "x"], 1, "is `bl ingest` running"),
        (&["sessions", "none"], 1, "there is no session 'none'"),
    ];
    for (arguments, code, sentence) in cases {
        let (got, said) = bl.fails(arguments);
        assert_eq!(got, code, "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    assert!(bl.ok(&["sessions"]).is_empty());
}

#[test]
fn a_closed_pipe_is_no_error() {
    let bl = Bl::new();
    let mut child = bl
        .command(&["query", "--format", "csv", "SELECT * FROM generate_series(1, 1000000)"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn older_recordings_are_imported_and_appended() {
    let bl = Bl::new();
    let sum_w = || value(&bl.ok(&["query", "SELECT sum(sys_w) FROM benchlab"]));
    let import = |arguments: &[&str]| {
        let session = ["import", "jsonl", "--session", "2025-11-11T14-30-00Z"];
        let out = bl.run(&[&session[..], arguments].concat());
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    for (round, name) in [(1, "old.jsonl"), (2, "more.jsonl")] {
        write_lines(
            &bl.path(name),
            &[
                &format!(
                    r#"{{"ts_ns":{round}000000000,"source":"benchlab.usb","kv":{{"p_sys":240.0}}}}"#
                ),
                r#"{"ts_ns":3100000000,"source":"pipeline","kv":{"stage":"ingress","frame_id":1}}"#,
                "this is no line",
            ],
        );
        let path = bl.path(name);
        let path = path.to_str().unwrap();
        // What can be read is there, and what cannot has to be allowed.
        let (code, said) = import(&[path]);
        assert!(code == Some(1) && said.contains(&format!("{name}:3")), "{said}");
        assert_eq!(sum_w(), 240.0 * f64::from(round));
        let (code, said) = import(&["--allow-bad", "1", path]);
        assert!(code == Some(0) && said.contains("the session has it already"), "{said}");
        assert_eq!(sum_w(), 240.0 * f64::from(round));
    }
    let session: serde_json::Value =
        serde_json::from_str(&bl.ok(&["sessions", "2025-11-11T14-30-00Z", "--json"])).unwrap();
    assert_eq!(session["anchor_estimated"], true);
    let first = bl.ok(&["query", "SELECT min(ts) FROM benchlab"]);
    assert!(first.contains("2025-11-11T14:30:00"), "{first}");
}

fn write_lines(path: &Path, lines: &[&str]) {
    let mut file = std::fs::File::create(path).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
}

#[test]
fn a_session_is_exported_for_capframex_when_it_ends() {
    let bl = Bl::new();
    let watched = bl.path("watched");
    let mut ingest =
        bl.command(&["ingest", "--simulate", "--no-host", "--session", "s", "--duration", "2s"]);
    let config = format!(
        "[pipeline]\nevents = {:?}\n[cx_export]\nenabled = true\nwatch_dir = {watched:?}\n",
        bl.path("bl.sock"),
    );
    std::fs::write(bl.path("config.toml"), &config).unwrap();
    let out = ingest.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    let files: Vec<_> = std::fs::read_dir(&watched).unwrap().map(|f| f.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}: {text}") };
    // JSON by itself, since only that carries power.
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap())
        .unwrap_or_else(|e| panic!("{e}: {text}"));
    let count = |array: &serde_json::Value| array.as_array().map_or(0, Vec::len);
    let run = &record["Runs"][0];
    // Of 120 and 100: a loaded machine records fewer.
    assert!(count(&run["CaptureData"]["MsBetweenPresents"]) > 20, "{text}");
    assert!(count(&run["PmdSystemPower"]) > 10, "{text}");

    let mut ingest =
        bl.command(&["ingest", "--simulate", "--no-host", "--session", "t", "--duration", "1s"]);
    std::fs::write(bl.path("config.toml"), format!("{config}format = \"csv\"\n")).unwrap();
    let out = ingest.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let files = std::fs::read_dir(&watched).unwrap().map(|f| f.unwrap().path());
    let csv: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "csv")).collect();
    let [csv] = csv.as_slice() else { panic!("{csv:?}") };
    assert!(std::fs::read_to_string(csv).unwrap().lines().count() > 10);
}
