//! Machines that misbehave under a recording: a wall clock that is set, a data root that turns read-only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn bl(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bl"));
    command
        .current_dir(folder)
        .env_clear()
        .env("BENCHLAB_DATA_ROOT", folder.join("data"))
        .env("BENCHLAB_CONFIG", folder.join("config.toml"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    std::fs::write(
        folder.join("config.toml"),
        format!("[pipeline]\nevents = {:?}\n", folder.join("bl.sock")),
    )
    .unwrap();
    command
}

fn query(folder: &Path, sql: &str) -> String {
    let out = bl(folder).args(["query", "--format", "csv", sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n")
}

fn await_rows(folder: &Path) {
    let began = Instant::now();
    let rows = || {
        let sql = "SELECT count(*) FROM benchlab";
        let out = bl(folder).args(["query", "--format", "csv", sql]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).lines().nth(1).and_then(|n| n.parse::<u32>().ok())
    };
    while rows().is_none_or(|n| n == 0) {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing is recorded");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn end(child: Child) -> Output {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    child.wait_with_output().unwrap()
}

/// A library that adds to the wall clock as many seconds as a file says.
const SHIFTED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, t);
    long shift = 0;
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_SHIFT"), "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &shift) == 1) t->tv_sec += shift;
        fclose(file);
    }
    return result;
}
"#;

fn shifted_clock(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, SHIFTED_CLOCK).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .unwrap();
    assert!(built.success());
    library
}

#[test]
fn a_wall_clock_that_is_set_back_changes_no_stamp_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let shift = folder.join("shift");
    std::fs::write(&shift, "0").unwrap();
    let recorder = bl(folder)
        .args(["ingest", "--simulate", "--no-host", "--session", "run"])
        .env("LD_PRELOAD", shifted_clock(folder))
        .env("CLOCK_SHIFT", &shift)
        .spawn()
        .unwrap();
    await_rows(folder);
    // More than ten seconds would begin a new part, with stamps of its own.
    std::fs::write(&shift, "-5").unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    let out = end(recorder);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let widest = query(
        folder,
        "SELECT max(gap) FROM (SELECT CAST(ts AS BIGINT) - CAST(lag(ts) OVER (ORDER BY ts) AS BIGINT) AS gap \
         FROM benchlab)",
    );
    assert!(widest.parse::<i64>().unwrap() < 1_000_000_000, "a gap of {widest} ns");
    let span =
        query(folder, "SELECT CAST(max(ts) AS BIGINT) - CAST(min(ts) AS BIGINT) FROM benchlab");
    assert!(span.parse::<i64>().unwrap() > 1_000_000_000, "{span} ns in all");
    let told = query(folder, "SELECT detail FROM health WHERE reason = 'clock_step'");
    assert!(told.contains("set back by 5.0") || told.contains("set back by 4.9"), "{told}");
    let steps = query(
        folder,
        "SELECT max(realtime_ns - monotonic_ns) - min(realtime_ns - monotonic_ns) FROM clock",
    );
    assert!((steps.parse::<i64>().unwrap() - 5_000_000_000).abs() < 10_000_000, "{steps} ns");
}

struct Mount<'a>(&'a Path);

impl Mount<'_> {
    fn remount(&self, how: &str) {
        let done =
            Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.0).status();
        assert!(done.unwrap().success(), "remount {how}");
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.0).status();
    }
}

#[test]
fn a_folder_that_is_read_only_can_be_asked_and_is_refused_for_recording() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&data).output().unwrap();
    if !mounted.status.success() {
        eprintln!("not run: mounting needs root: {}", String::from_utf8_lossy(&mounted.stderr));
        return;
    }
    let mount = Mount(&data);
    let recorder =
        bl(folder).args(["ingest", "--simulate", "--no-host", "--session", "run"]).spawn();
    let mut recorder = recorder.unwrap();
    await_rows(folder);
    // Killed: its open segments wait for the next recorder, which cannot seal them here.
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    let rows = query(folder, "SELECT count(*) FROM benchlab");
    mount.remount("ro");
    for session in ["run", "next"] {
        let ingest = ["ingest", "--no-host", "--duration", "1s", "--session", session];
        let out = bl(folder).args(ingest).output().unwrap();
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(text.lines().last().unwrap().contains("Read-only file system"), "{text}");
    }
    assert_eq!(query(folder, "SELECT count(*) FROM benchlab"), rows);
    mount.remount("rw");
    let out = bl(folder).args(["ingest", "--no-host", "--duration", "100ms"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(query(folder, "SELECT count(*) FROM benchlab WHERE session = 'run'"), rows);
}
