//! A log of MangoHud beside a recording: what its frames cost, and how they get to CapFrameX.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
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
            .env_clear()
            .env("BENCHLAB_DATA_ROOT", self.path("data"))
            .env("BENCHLAB_CONFIG", self.path("config.toml"))
            .current_dir(self.0.path())
            .args(arguments)
            .stdin(Stdio::null());
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

    /// The columns of the one line that a query answers.
    fn row(&self, session: &str, sql: &str) -> Vec<String> {
        let csv = self.ok(&["query", "--session", session, "--format", "csv", sql]);
        csv.lines().nth(1).unwrap_or_default().split(',').map(str::to_string).collect()
    }

    fn numbers(&self, session: &str, sql: &str) -> Vec<f64> {
        self.row(session, sql).iter().map(|n| n.parse().unwrap()).collect()
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A `bl` that runs beside, and does not outlive the test.
struct Beside(Child);

impl Beside {
    fn start(command: &mut Command) -> Self {
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const HEADER: &str = "os,cpu,gpu,ram,kernel,driver,cpuscheduler\nLinux,c,g,1,6.1,,x\n\
                      fps,frametime,cpu_load,gpu_load,elapsed\n";

/// A log of 10 ms frames, of which every tenth took 20 ms, as MangoHud writes it.
fn log(path: &Path, frames: u32) -> f64 {
    let mut text = HEADER.to_string();
    let mut elapsed_ms = 0u32;
    for frame in 0..frames {
        let ms = if frame % 10 == 9 { 20 } else { 10 };
        elapsed_ms += ms;
        text += &format!("{},{ms},5,90,{}\n", 1000 / ms, u64::from(elapsed_ms) * 1_000_000);
    }
    std::fs::write(path, text).unwrap();
    f64::from(elapsed_ms) / 1e3
}

const NAME: &str = "game_2025-11-11_14-30-00.csv";

#[test]
fn frames_beside_recorded_power_have_joules() {
    let bl = Bl::new();
    let ingest =
        Beside::start(&mut bl.command(&["ingest", "--simulate", "--no-host", "--session", "run"]));
    wait_for("power", || {
        let out = bl.run(&["query", "--session", "run", "SELECT count(*) > 25 FROM benchlab"]);
        String::from_utf8_lossy(&out.stdout).contains("true")
    });
    bl.ok(&["mark", "logging"]);
    bl.ok(&["mark", "menu"]);
    std::thread::sleep(Duration::from_millis(2_500));
    let seconds = log(&bl.path(NAME), 100);
    let (_, busy) = bl.fails(&["import", "mangohud", "--session", "run", NAME]);
    assert!(busy.contains("is being recorded by process"), "{busy}");
    ingest.end();
    let before: serde_json::Value =
        serde_json::from_str(&bl.ok(&["sessions", "run", "--json"])).unwrap();

    let (code, which) =
        bl.fails(&["import", "mangohud", "--session", "run", "--align-to", "mark", NAME]);
    assert!(code == 2 && which.contains("of logging, menu"), "{which}");
    let mark = ["--session", "latest", "--align-to", "mark:logging", NAME];
    let out = bl.run(&[&["import", "mangohud"], &mark[..]].concat());
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && said.contains("frames: 100 rows"), "{said}");
    assert!(!said.contains("note:"), "{said}");
    let after: serde_json::Value =
        serde_json::from_str(&bl.ok(&["sessions", "run", "--json"])).unwrap();
    for same in ["started_ns", "ended_ns", "anchor_estimated", "state"] {
        assert_eq!(before[same], after[same], "{same}");
    }

    let aligned = String::from_utf8(bl.run(&["align"]).stderr).unwrap();
    assert!(
        aligned.contains("frame_start -> presented: 100 frames, 0 of them dropped"),
        "{aligned}"
    );
    let first = "SELECT (SELECT CAST(min(ts) AS BIGINT) FROM frames) - \
                 (SELECT CAST(ts AS BIGINT) FROM marks WHERE name = 'logging')";
    assert_eq!(bl.numbers("run", first), [0.0]);
    // The frames follow each other without gaps, so theirs is the energy of that time.
    let cost = bl.numbers(
        "run",
        "SELECT count(*), sum(latency_ms), sum(energy_j), count(energy_j) FROM latency \
         WHERE stage_b = 'presented'",
    );
    assert!(
        (cost[0], cost[3]) == (100.0, 100.0) && (cost[1] - seconds * 1e3).abs() < 1e-3,
        "{cost:?}"
    );
    let mean_w = bl.numbers(
        "run",
        "SELECT avg(sys_w) FROM benchlab, (SELECT min(ts) AS a, max(ts) AS z FROM frames) \
         WHERE ts BETWEEN a AND z",
    )[0];
    let true_j = mean_w * seconds;
    assert!((cost[2] - true_j).abs() < 0.1 * true_j, "{} J, about {true_j}", cost[2]);

    // Stages of its own and frames: each can be asked for.
    let stats = bl.ok(&[
        "query",
        "--session",
        "run",
        "--job",
        "stats",
        "--format",
        "json",
        "--stage-a",
        "frame_start",
        "--stage-b",
        "presented",
    ]);
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats[0]["frames"], &stats[0]["max_ms"]), (&100.into(), &20.0.into()));
    let log = ["--session", "run", "--metric", "interval", "--log", NAME, "-o", "cx.json"];
    bl.ok(&[&["export", "cx"], &log[..]].concat());
    let cx: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bl.path("cx.json")).unwrap()).unwrap();
    let run = &cx["Runs"][0];
    assert_eq!(run["CaptureData"]["MsBetweenPresents"].as_array().unwrap().len(), 100);
    assert!(run["PmdSystemPower"].as_array().is_some_and(|watts| watts.len() > 20), "{run:.300}");
}

#[test]
fn a_log_alone_is_a_session_that_jobs_and_exports_take_as_it_is() {
    let bl = Bl::new();
    let seconds = log(&bl.path(NAME), 300);
    let written = std::fs::metadata(bl.path(NAME)).unwrap().modified().unwrap();
    bl.ok(&["import", "mangohud", "--session", "aged", "--align-to", "file", NAME]);
    let last = bl.numbers("aged", "SELECT CAST(max(ts) AS BIGINT) / 1e9 FROM frames")[0];
    let written = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((last - written).abs() < 1e-3, "the last frame is as old as the file");
    std::fs::remove_dir_all(bl.path("data/sessions/aged")).unwrap();
    // The file is of today and its name of 2025: it was copied.
    let out = bl.run(&["import", "mangohud", "--session", "alone", NAME]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && said.contains("by the file's name, within 1 s"), "{said}");
    let first = bl.numbers("alone", "SELECT CAST(min(ts) AS BIGINT) / 1e9 FROM frames")[0];
    let date = Command::new("date").args(["-d", "2025-11-11 14:30:00", "+%s"]).output().unwrap();
    let named: f64 = String::from_utf8(date.stdout).unwrap().trim().parse().unwrap();
    // `elapsed` of the first frame is 10 ms.
    assert!((first - named - 0.01).abs() < 1e-6, "{first} for {named}");
    let aligned = String::from_utf8(bl.run(&["align"]).stderr).unwrap();
    assert!(aligned.contains("300 frames, 0 of them dropped"), "{aligned}");
    let stats: serde_json::Value =
        serde_json::from_str(&bl.ok(&["query", "--job", "stats", "--format", "json"])).unwrap();
    let number = |name: &str| stats[0][name].as_f64().unwrap();
    assert_eq!(stats[0]["pipeline"], NAME);
    assert_eq!((number("frames"), number("p50_ms"), number("max_ms")), (300.0, 10.0, 20.0));
    assert!((number("mean_ms") - seconds * 1e3 / 300.0).abs() < 1e-6, "{stats}");
    assert!(stats[0].get("mean_j").is_none_or(serde_json::Value::is_null), "no power, no joules");

    let (code, why) = bl.fails(&["export", "cx", "-o", "cx.csv"]);
    assert!(code == 2 && why.contains("--metric interval"), "{why}");
    bl.ok(&["export", "cx", "--metric", "interval", "-o", "cx.csv"]);
    let csv = std::fs::read_to_string(bl.path("cx.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0][0], rows[9][2]), (300, "game", "20"), "{csv:.200}");

    let (code, why) = bl.fails(&["import", "mangohud", "--align-to", "noon", NAME]);
    assert!(code == 2 && why.contains("mark:NAME"), "{why}");
    let (_, why) =
        bl.fails(&["import", "mangohud", "--session", "alone", "--align-to", "mark", NAME]);
    assert!(why.contains("has no mark"), "{why}");
}

#[test]
fn the_same_content_is_imported_once_and_refused_rows_fail() {
    let bl = Bl::new();
    log(&bl.path(NAME), 20);
    std::fs::copy(bl.path(NAME), bl.path("copy.csv")).unwrap();
    let frames = || bl.numbers("s", "SELECT count(*) FROM frames")[0];
    bl.ok(&["import", "mangohud", "--session", "s", NAME, "copy.csv"]);
    assert_eq!(frames(), 20.0);
    let again = bl.run(&["import", "mangohud", "--session", "s", "copy.csv"]);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(
        again.status.success() && said.contains("the session has it already, as game_2025"),
        "{said}"
    );
    assert_eq!(frames(), 20.0);
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bl.path("data/sessions/s/session.json")).unwrap())
            .unwrap();
    let import = &manifest["imports"][0];
    assert_eq!((&import["file"], &import["source"]), (&NAME.into(), &"mangohud".into()));
    assert_eq!(import["first_frame"]["err_ns"], 1_000_000_000);
    assert_eq!(
        (import["sha256"].as_str().unwrap().len(), &import["info"]["cpu"]),
        (64, &"c".into())
    );

    // A row that cannot be read: the others are imported all the same.
    let mut text = std::fs::read_to_string(bl.path(NAME)).unwrap();
    text += "100,10,5,90,1e23\n";
    std::fs::write(bl.path("bad.csv"), text).unwrap();
    let (code, why) = bl.fails(&["import", "mangohud", "--session", "bad", "bad.csv"]);
    assert!(
        code == 1 && why.contains("1 lines were refused") && why.contains("--allow-bad 1"),
        "{why}"
    );
    assert!(why.contains("bad.csv:24: elapsed is 1e23 ns"), "{why}");
    assert_eq!(bl.numbers("bad", "SELECT count(*) FROM frames"), [20.0]);
    bl.ok(&["import", "mangohud", "--session", "allowed", "--allow-bad", "1", "bad.csv"]);
    std::fs::write(
        bl.path("r.jsonl"),
        "{\"ts_ns\":1,\"source\":\"benchlab.usb\",\"kv\":{\"p_sys\":5}}\nnothing\n",
    )
    .unwrap();
    let (code, why) = bl.fails(&["import", "jsonl", "r.jsonl"]);
    assert!(code == 1 && why.contains("1 lines were refused"), "{why}");
    let again = bl.run(&["import", "jsonl", "r.jsonl"]);
    assert!(
        again.status.success()
            && String::from_utf8_lossy(&again.stderr).contains("already, as r.jsonl")
    );
}

#[test]
fn of_several_processes_one_is_chosen_and_the_dominant_one_exported() {
    let bl = Bl::new();
    let gold =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../ingest/tests/fixtures/presentmon/test_case_0.csv");
    let out = bl.run(&["import", "presentmon", "--session", "all", gold]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && said.contains("10 streams of frames"), "{said}");
    let of = "SELECT count(*), count(DISTINCT pid), max(frametime_ms) FROM frames WHERE application = 'dwm.exe'";
    assert_eq!(bl.numbers("all", of)[..2], [197.0, 1.0]);
    bl.ok(&["align"]);
    let pipelines =
        "SELECT count(DISTINCT pipeline), count(*) FROM latency WHERE stage_b = 'presented'";
    assert_eq!(bl.numbers("all", pipelines), [10.0, 357.0]);
    let out = bl.run(&["export", "cx", "--session", "all", "--metric", "interval", "-o", "cx.csv"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        out.status.success() && said.contains("dwm.exe 1268 0x224B280A1C0 has the most (197)"),
        "{said}"
    );
    let csv = std::fs::read_to_string(bl.path("cx.csv")).unwrap();
    assert_eq!(csv.lines().filter(|line| line.starts_with("dwm.exe,")).count(), 197, "{csv:.300}");
    assert_eq!(csv.lines().count(), 198);

    bl.ok(&["import", "presentmon", "--session", "one", "--process", "8320", gold]);
    assert_eq!(
        bl.numbers("one", "SELECT count(*), min(pid), max(pid) FROM frames"),
        [18.0, 8320.0, 8320.0]
    );
    let (_, why) =
        bl.fails(&["import", "presentmon", "--session", "none", "--process", "game", gold]);
    assert!(why.contains("no frame of process game, but of Presenter.exe 10792"), "{why}");
}

#[test]
fn what_is_exported_for_capframex_comes_back_and_goes_out_the_same() {
    let bl = Bl::new();
    let ingest =
        Beside::start(&mut bl.command(&["ingest", "--simulate", "--no-host", "--session", "run"]));
    wait_for("power", || {
        let out = bl.run(&["query", "--session", "run", "SELECT count(*) > 25 FROM benchlab"]);
        String::from_utf8_lossy(&out.stdout).contains("true")
    });
    bl.ok(&["mark", "logging"]);
    std::thread::sleep(Duration::from_millis(2_500));
    ingest.end();
    log(&bl.path(NAME), 100);
    bl.ok(&["import", "mangohud", "--session", "run", "--align-to", "mark", NAME]);
    let export = |session: &str, file: &str| -> serde_json::Value {
        bl.ok(&["export", "cx", "--session", session, "--metric", "interval", "-o", file]);
        serde_json::from_slice(&std::fs::read(bl.path(file)).unwrap()).unwrap()
    };
    let first = export("run", "first.json");
    bl.ok(&["import", "capframex", "--session", "again", "first.json"]);
    let second = export("again", "second.json");
    assert!(first["Runs"][0]["PmdSystemPower"].as_array().is_some_and(|watts| watts.len() > 20));
    assert!(first["Runs"][0]["SensorData2"].as_object().is_some_and(|sensors| sensors.len() > 20));
    let without_identity = |mut record: serde_json::Value| {
        // They tell this file from others, and are no part of what was captured.
        for identity in ["/Hash", "/Info/Id", "/Runs/0/Hash"] {
            *record.pointer_mut(identity).unwrap() = "".into();
        }
        record
    };
    let (first, second) = (without_identity(first), without_identity(second));
    for part in ["CaptureData", "SensorData2", "PmdSystemPower", "PmdCpuPower", "PmdGpuPower"] {
        let (first, second) = (&first["Runs"][0][part], &second["Runs"][0][part]);
        for (key, value) in first.as_object().into_iter().flatten() {
            assert_eq!(value, &second[key], "{part} {key}");
        }
        assert_eq!(first, second, "{part}");
    }
    assert_eq!(first, second);
    let joules = "SELECT count(energy_j) > 90 FROM latency WHERE stage_b = 'presented'";
    assert_eq!(bl.row("again", joules), ["true"]);
}

#[test]
fn a_capture_of_windows_keeps_its_power_sensors_and_hardware() {
    let bl = Bl::new();
    let series = |count: u32, value: fn(f64) -> f64| -> Vec<f64> {
        (0..count).map(|i| (value(f64::from(i)) * 1e3).round() / 1e3).collect()
    };
    let sensor = |name: &str, kind: &str, id: &str, values: Vec<f64>| serde_json::json!({"Name": name, "Type": kind, "StableIdentifier": id, "Values": values});
    // A second of 10 ms frames; power every 25 ms, sensors every 250 ms.
    let record = serde_json::json!({
        "Hash": "h",
        "Info": {"AppVersion": "1.8.4.6", "ProcessName": "game.exe", "GameName": "A game", "Comment": "Ultra",
            "CreationDate": "2026-01-31T12:00:10Z", "Processor": "A CPU", "GPU": "A card", "Motherboard": "A board",
            "OS": "Windows 11", "SystemRam": "32 GB DDR5", "GPUDriverVersion": "1.2", "ApiInfo": "DX12"},
        "Runs": [{
            "Hash": "r", "SampleTime": 25,
            "PmdGpuPower": series(40, |i| 200.0 + i / 8.0),
            "PmdCpuPower": series(40, |i| 80.0 - i / 16.0),
            "PmdSystemPower": series(40, |i| 340.0 + i),
            "CaptureData": {
                "TimeInSeconds": series(100, |i| i / 100.0),
                "MsBetweenPresents": vec![10.0; 100],
                "Dropped": vec![false; 100],
            },
            "SensorData2": {
                "MeasureTime": sensor("MeasureTime", "Time", "MeasureTime", series(4, |i| i / 4.0)),
                "BetweenMeasureTime": sensor("BetweenMeasureTime", "Time", "BetweenMeasureTime", vec![0.0, 0.25, 0.25, 0.25]),
                "/amdcpu/0/load/0": sensor("Total", "Load", "/amdcpu/0/load/0", series(4, |i| 50.0 + i)),
                "/amdcpu/0/power/0": sensor("CPU Package", "Power", "/amdcpu/0/power/0", series(4, |i| 70.0 + i)),
                "/gpu-nvidia/0/control/1": sensor("Fan", "Control", "/gpu-nvidia/0/control/1", series(4, |i| 30.0 + i)),
                "/gpu-nvidia/0/load/1": sensor("Fan", "Load", "/gpu-nvidia/0/load/1", series(4, |i| 90.0 + i)),
                "/gpu-nvidia/0/clock/0": sensor("GPU Core", "Clock", "/gpu-nvidia/0/clock/0", series(4, |i| 2500.0 + i)),
            },
        }],
    });
    std::fs::write(bl.path("win.json"), record.to_string()).unwrap();
    let out = bl.run(&["import", "capframex", "--session", "win", "win.json"]);
    let said = String::from_utf8(out.stderr).unwrap();
    // Saved at 12:00:10, 0.99 s after the first frame.
    assert!(
        said.contains("first frame 2026-01-31T12:00:09.010Z") && said.contains("within 3 s"),
        "{said}"
    );
    bl.ok(&["export", "cx", "--session", "win", "--metric", "interval", "-o", "out.json"]);
    let out: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bl.path("out.json")).unwrap()).unwrap();
    for (key, value) in record["Info"].as_object().unwrap() {
        let expected = if key == "CreationDate" {
            "2026-01-31T12:00:10.000Z"
        } else {
            value.as_str().unwrap()
        };
        assert_eq!(out["Info"][key], expected, "{key}");
    }
    let floats = |of: &serde_json::Value| -> Vec<f64> {
        of.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let (before, after) = (&record["Runs"][0], &out["Runs"][0]);
    for power in ["PmdGpuPower", "PmdCpuPower", "PmdSystemPower"] {
        assert_eq!(floats(&before[power]), floats(&after[power]), "{power}");
    }
    for times in ["TimeInSeconds", "MsBetweenPresents"] {
        assert_eq!(
            floats(&before["CaptureData"][times]),
            floats(&after["CaptureData"][times]),
            "{times}"
        );
    }
    let sensors = before["SensorData2"].as_object().unwrap();
    // The three sums of the power meter are sensors, too, as of any board.
    assert_eq!(after["SensorData2"].as_object().unwrap().len(), sensors.len() + 3);
    for (id, sensor) in sensors {
        let found = &after["SensorData2"][id];
        for text in ["Name", "Type", "StableIdentifier"] {
            assert_eq!(sensor[text], found[text], "{id}");
        }
        assert_eq!(floats(&sensor["Values"]), floats(&found["Values"]), "{id}");
    }
}

#[test]
fn a_growing_log_is_followed_until_ctrl_c() {
    let bl = Bl::new();
    let mut file = std::fs::File::create(bl.path(NAME)).unwrap();
    file.write_all(HEADER.as_bytes()).unwrap();
    let (_, why) = bl.fails(&["import", "mangohud", "--follow", "--session", "f", "absent.csv"]);
    assert!(why.contains("absent.csv"), "{why}");
    let follow = Beside::start(&mut bl.command(&[
        "import",
        "mangohud",
        "--follow",
        "--session",
        "live",
        NAME,
    ]));
    let count = || {
        let out = bl.run(&["query", "--session", "live", "SELECT count(*) FROM frames"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.lines().nth(1).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0)
    };
    for frame in 1..=40u32 {
        // A line may be torn where the game's buffer ends.
        let line = format!("100,10,5,90,{}\n", frame * 10_000_000);
        let (a, b) = line.split_at(7);
        file.write_all(a.as_bytes()).unwrap();
        file.write_all(b.as_bytes()).unwrap();
        if frame == 20 {
            wait_for("the first half, while it grows", || count() == 20);
        }
    }
    wait_for("all frames", || count() == 40);
    follow.end();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let found = bl.numbers(
        "live",
        "SELECT count(*), (CAST(max(ts) AS BIGINT) - CAST(min(ts) AS BIGINT)) / 1e6, \
         CAST(max(ts) AS BIGINT) / 1e9 FROM frames",
    );
    assert_eq!(found[..2], [40.0, 390.0]);
    assert!((now.as_secs_f64() - found[2]).abs() < 60.0, "the frames are from now: {found:?}");
    let frames = "SELECT count(*), avg(latency_ms) FROM latency WHERE NOT dropped";
    assert_eq!(bl.numbers("live", frames), [40.0, 10.0]);
    assert!(bl.ok(&["sessions"]).contains("ended"));
}

#[test]
fn a_log_that_is_damaged_and_removed_ends_the_following_and_its_frames_stay() {
    let bl = Bl::new();
    std::fs::write(bl.path(NAME), format!("{HEADER}100,10,5,90,10000000\nno frame\n")).unwrap();
    let mut follow = bl
        .command(&["import", "mangohud", "--follow", "--session", "gone", NAME])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let count = || {
        let out = bl.run(&["query", "--session", "gone", "SELECT count(*) FROM frames"]);
        String::from_utf8_lossy(&out.stdout).lines().nth(1).map(str::to_owned)
    };
    wait_for("the frame that is whole", || count().as_deref() == Some("1"));
    std::fs::remove_file(bl.path(NAME)).unwrap();
    wait_for("its end", || follow.try_wait().unwrap().is_some());
    let out = follow.wait_with_output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("the log has been removed"), "{said}");
    assert_eq!(count().as_deref(), Some("1"));
    let health = "SELECT reason, count FROM health WHERE reason = 'malformed'";
    assert_eq!(bl.row("gone", health), ["malformed", "1"]);
    assert!(bl.ok(&["sessions"]).contains("ended"));
}
