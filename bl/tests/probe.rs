//! `bl probe` as it is run. What needs GStreamer and the built tracer is run by scripts/test-gst.sh.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

struct Bl(tempfile::TempDir);

impl Bl {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[pipeline]\nevents = {:?}\n", folder.path().join("bl.sock"));
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bl"));
        command
            .env("BENCHLAB_DATA_ROOT", self.path("data"))
            .env("BENCHLAB_CONFIG", self.path("config.toml"))
            .env("GST_REGISTRY", self.path("registry.bin"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a launch line with stages into a session of its own; returns what was said.
    fn probe(&self, session: &str, stages: &str, line: &str) -> String {
        let own =
            ["probe", "--no-host", "--session", session, "--stages", stages, "--pipeline", line];
        let out = self.run(&own);
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{line}: {said}");
        said
    }

    /// Frames, dropped ones, and those that have a latency.
    fn frames(&self, session: &str, stage_b: &str) -> [u64; 3] {
        let sql = "SELECT count(*), count(*) FILTER (WHERE dropped), count(latency_ms) FROM latency \
                   WHERE key_ns IS NOT NULL AND stage_b = '";
        let sql = format!("{sql}{stage_b}'");
        let out = self.run(&[
            "query",
            "--session",
            session,
            "--format",
            "csv",
            "--stage-a",
            "ingress",
            "--stage-b",
            stage_b,
            &sql,
        ]);
        let text = String::from_utf8(out.stdout).unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{said}");
        let row: Vec<u64> =
            text.lines().nth(1).unwrap().split(',').map(|n| n.parse().unwrap()).collect();
        row.try_into().unwrap()
    }
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let bl = Bl::new();
    let none = bl.path("none").to_str().unwrap().to_string();
    let cases: [(&[&str], i32, &str); 4] = [
        (&["probe"], 2, "no command is given"),
        (&["probe", "--stages", "src", "--", "true"], 2, "write name=element.pad"),
        (&["probe", "--pipeline", "fakesrc ! fakesink", "--", "true"], 2, "cannot be used with"),
        (&["probe", "--", "true"], 1, "make gst-plugin"),
    ];
    for (arguments, code, sentence) in cases {
        let out = bl.command(arguments).env("BL_GST_PLUGIN_DIR", &none).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
    assert!(!bl.path("data").exists(), "no session was begun");
}

const SMALL: &str = "video/x-raw,format=I420,width=160,height=120,framerate=30/1";

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn every_frame_is_paired_by_key_and_drops_are_exact() {
    let bl = Bl::new();
    let encoder = "x264enc name=enc speed-preset=ultrafast tune=zerolatency";
    let both = "ingress=src.src+encoded=enc.src";
    let src = format!("videotestsrc name=src num-buffers=90 ! {SMALL}");
    bl.probe("zero", both, &format!("{src} ! {encoder} ! fakesink"));
    assert_eq!(bl.frames("zero", "encoded"), [90, 0, 90]);
    bl.probe("queue", both, &format!("{src} ! queue ! {encoder} ! fakesink"));
    assert_eq!(bl.frames("queue", "encoded"), [90, 0, 90]);
    let b_frames = "x264enc name=enc speed-preset=veryfast bframes=2 b-adapt=false";
    bl.probe("b", both, &format!("{src} ! {b_frames} ! fakesink"));
    assert_eq!(bl.frames("b", "encoded"), [90, 0, 90]);
    bl.probe(
        "tee",
        "ingress=src.src+encoded=enc.src+preview=view.sink",
        &format!(
            "{src} ! tee name=t t. ! queue ! {encoder} ! fakesink t. ! queue ! fakesink name=view"
        ),
    );
    assert_eq!(bl.frames("tee", "encoded"), [90, 0, 90]);
    assert_eq!(bl.frames("tee", "preview"), [90, 0, 90]);
    bl.probe(
        "rate",
        "ingress=src.src+encoded=out.sink",
        &format!(
            "{src} ! videorate drop-only=true ! video/x-raw,framerate=10/1 ! fakesink name=out"
        ),
    );
    assert_eq!(bl.frames("rate", "encoded"), [90, 60, 30]);

    // What leaks depends on the machine; the file that the last element writes is the witness.
    let shown = bl.path("shown.raw");
    let leaky = format!(
        "{src} ! queue leaky=downstream max-size-buffers=3 ! identity sleep-time=3000 ! \
         filesink name=out location={}",
        shown.display()
    );
    bl.probe("leaky", "ingress=src.src+encoded=out.sink", &leaky);
    let shown = std::fs::metadata(shown).unwrap().len() / u64::from(160u32 * 120 * 3 / 2);
    assert!(shown < 90, "the queue was to leak");
    assert_eq!(bl.frames("leaky", "encoded"), [90, 90 - shown, shown]);
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn events_go_to_the_recording_that_runs_and_the_exit_code_is_the_commands() {
    let bl = Bl::new();
    let arguments = ["ingest", "--no-host", "--session", "run", "--duration", "60s"];
    let mut recorder = bl.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while std::os::unix::net::UnixStream::connect(bl.path("bl.sock")).is_err() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
    let script = format!(
        "gst-launch-1.0 -q videotestsrc name=src num-buffers=50 ! {SMALL} ! fakesink name=out; exit 5"
    );
    let stages = "ingress=src.src+encoded=out.sink";
    let out = bl.run(&["probe", "--stages", stages, "--", "sh", "-c", &script]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(5), "{said}");
    assert!(said.contains("session of the recording that listens on"), "{said}");
    kill_process(Pid::from_child(&recorder), Signal::INT).unwrap();
    assert!(recorder.wait().unwrap().success());
    assert_eq!(bl.frames("run", "encoded"), [50, 0, 50]);
    let sessions = String::from_utf8(bl.run(&["sessions"]).stdout).unwrap();
    assert_eq!(sessions.lines().count(), 2, "a header and one session: {sessions}");
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn two_processes_whose_pipelines_have_one_name_are_two_pipelines() {
    let bl = Bl::new();
    let arguments = ["ingest", "--no-host", "--session", "two", "--duration", "120s"];
    let mut recorder = bl.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while std::os::unix::net::UnixStream::connect(bl.path("bl.sock")).is_err() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
    // Each frame sleeps between the stages: 24 ms in one process, 6 ms in the other.
    let stages = "ingress=src.src+encoded=wait.src";
    let probes = [24_000, 6_000].map(|sleep_us| {
        let line = format!(
            "videotestsrc name=src num-buffers=60 is-live=true ! {SMALL} ! \
             identity name=wait sleep-time={sleep_us} ! fakesink"
        );
        let arguments = ["probe", "--stages", stages, "--pipeline", &line];
        bl.command(&arguments).stderr(Stdio::null()).spawn().unwrap()
    });
    for mut probe in probes {
        assert!(probe.wait().unwrap().success());
    }
    kill_process(Pid::from_child(&recorder), Signal::INT).unwrap();
    assert!(recorder.wait().unwrap().success());
    let sql = "SELECT pipeline, count(*), count(latency_ms), min(latency_ms) >= 24, min(latency_ms) >= 6, \
        min(latency_ms) < 24, bool_and(paired_by = 'key_ns') FROM latency GROUP BY pipeline ORDER BY pipeline";
    let out = bl.run(&["query", "--session", "two", "--format", "csv", sql]);
    let text = String::from_utf8(out.stdout).unwrap();
    let mut rows: Vec<&str> = text.lines().skip(1).collect();
    // Which of them came first is chance.
    rows.sort_by_key(|row| row.contains(",true,true,false,"));
    let told = |row: &str| row.split_once(',').map(|(_, told)| told.to_string()).unwrap();
    let told: Vec<String> = rows.iter().map(|row| told(row)).collect();
    assert_eq!(told, ["60,60,false,true,true,true", "60,60,true,true,false,true"], "{text}");
    assert!(text.contains("pipeline0,") && text.contains("pipeline0@2,"), "{text}");
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn a_wrong_stage_is_told_and_an_interrupt_ends_both_in_good_order() {
    let bl = Bl::new();
    let said = bl.probe(
        "wrong",
        "ingress=src.src+encoded=encoder.src",
        &format!("videotestsrc name=src num-buffers=9 ! {SMALL} ! fakesink"),
    );
    assert!(said.contains("no frame passed stage encoded (encoder.src)"), "{said}");
    let endless = format!("videotestsrc name=src is-live=true ! {SMALL} ! fakesink name=out");
    let mut probe = bl
        .command(&["probe", "--no-host", "--session", "int", "--pipeline", &endless])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let count = || {
        let out = bl.run(&["query", "--session", "int", "SELECT count(*) FROM pipeline"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.lines().nth(1).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0)
    };
    while count() < 10 {
        assert!(Instant::now() < until);
    }
    kill_process(Pid::from_child(&probe), Signal::INT).unwrap();
    assert_eq!(probe.wait().unwrap().code(), Some(0));
    assert!(String::from_utf8(bl.run(&["sessions"]).stdout).unwrap().contains("ended"));
}
