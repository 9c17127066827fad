//! The probe: what the command gets, and what is said when nothing came of it.
//!
//! The tests that need GStreamer and the built tracer are run by
//! `BL_GST_PLUGIN_DIR=<folder of libgstbl.so> cargo test -p bl-ingest --test probe -- --ignored`.

// The helpers of tests may fail them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use bl_ingest::probe::{Outcome, PLUGIN_FILE, Probe, ProbeError, Stage, find_plugin, launch_line};

fn probe(folder: &Path, command: Vec<OsString>, stages: &str) -> Probe {
    Probe {
        command,
        stages: Stage::parse_list(stages).unwrap_or_default(),
        socket: folder.join("events.sock"),
        plugin_folder: folder.to_owned(),
    }
}

fn sh(script: &str) -> Vec<OsString> {
    ["sh", "-c", script].map(OsString::from).to_vec()
}

#[test]
fn the_command_gets_the_variables_and_its_exit_code_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"case "$GST_TRACERS" in *'stages="in=src.src"'*) exit 7;; esac"#;
    let outcome = probe(folder.path(), sh(script), "in=src.src").run().unwrap();
    assert_eq!(outcome, Outcome { exit_code: 7, reports: Vec::new() });
    let killed = probe(folder.path(), sh("kill -KILL $$"), "").run().unwrap();
    assert_eq!(killed.exit_code, 128 + 9);
}

#[test]
fn a_command_that_cannot_be_started_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = probe(folder.path(), Vec::new(), "").run().unwrap_err();
    assert!(matches!(nothing, ProbeError::NoCommand));
    let absent = probe(folder.path(), vec!["gst-launch-of-old".into()], "").run().unwrap_err();
    assert!(absent.to_string().contains("gstreamer1.0-tools"), "{absent}");
}

#[test]
fn a_missing_plugin_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let probe = probe(folder.path(), sh("true"), "");
    let remarks = probe.run().unwrap().remarks(&probe, 0);
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].contains(PLUGIN_FILE) && remarks[0].contains("not there"), "{remarks:?}");
}

/// The tracer's folder, and a listener that counts events.
fn traced(folder: &Path, command: Vec<OsString>, stages: &str) -> (Probe, JoinHandle<u64>) {
    let configured = std::env::var_os("BL_GST_PLUGIN_DIR").map(PathBuf::from);
    let executable = std::env::current_exe().unwrap();
    let plugin_folder = find_plugin(&executable, configured.as_deref()).unwrap();
    let probe = Probe { plugin_folder, ..probe(folder, command, stages) };
    let listener = UnixListener::bind(&probe.socket).unwrap();
    let socket = probe.socket.clone();
    let counter = std::thread::Builder::new().spawn(move || {
        let mut text = String::new();
        // The first connection is the tracer's, or the one that ends the test.
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        drop(listener);
        std::fs::remove_file(socket).unwrap();
        text.matches("\"stage\"").count() as u64
    });
    (probe, counter.unwrap())
}

/// Runs the probe; returns its exit code, the events, and the remarks.
fn run(command: Vec<OsString>, stages: &str) -> (i32, u64, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (probe, counter) = traced(folder.path(), command, stages);
    let outcome = probe.run().unwrap();
    // Should nothing have connected, the counter waits still.
    let _ = std::os::unix::net::UnixStream::connect(&probe.socket);
    let events = counter.join().unwrap();
    (outcome.exit_code, events, outcome.remarks(&probe, events))
}

const LINE: &str = "videotestsrc name=src num-buffers=20 ! video/x-raw, width=64, height=64 ! \
                    queue ! fakesink name=out";

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn a_launch_line_reports_its_ends() {
    assert_eq!(run(launch_line(LINE), ""), (0, 40, Vec::new()));
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn processes_of_a_command_report_through_a_shell() {
    let script = format!("gst-launch-1.0 -q {LINE}; exit 3");
    assert_eq!(run(sh(&script), "in=src.src,out=out.sink"), (3, 40, Vec::new()));
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn a_wrong_name_is_told_with_those_there_are() {
    let (code, events, remarks) = run(launch_line(LINE), "in=src.src+out=sink.sink");
    assert_eq!((code, events, remarks.len()), (0, 20, 1));
    assert!(remarks[0].starts_with("no frame passed stage out (sink.sink): "), "{remarks:?}");
    assert!(remarks[0].contains("out.sink"), "{remarks:?}");
    let (_, events, remarks) = run(launch_line("fakesrc num-buffers=3 ! fakesink"), "");
    assert_eq!((events, remarks.len()), (0, 1));
    assert!(remarks[0].contains("name the pads with --stages"), "{remarks:?}");
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn a_command_without_gstreamer_is_told() {
    let (code, events, remarks) = run(sh("true"), "");
    assert_eq!((code, events, remarks.len()), (0, 0, 1));
    assert!(remarks[0].contains("it does not use GStreamer"), "{remarks:?}");
    let unset =
        run(sh("env -u GST_TRACERS gst-launch-1.0 -q videotestsrc num-buffers=1 ! fakesink"), "");
    assert!(unset.2[0].contains("do not reach it"), "{unset:?}");
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn a_process_that_is_killed_is_told() {
    let script =
        "gst-launch-1.0 -q videotestsrc is-live=true ! fakesink & sleep 1.5; kill -KILL $!";
    let (_, events, remarks) = run(sh(script), "");
    assert!(events > 0);
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].contains("killed or still runs"), "{remarks:?}");
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn a_library_that_gstreamer_cannot_load_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(PLUGIN_FILE), b"not a library").unwrap();
    let registry = folder.path().join("registry.bin");
    let script = format!("GST_REGISTRY={} gst-launch-1.0 -q {LINE}", registry.display());
    let probe = probe(folder.path(), sh(&script), "");
    let outcome = probe.run().unwrap();
    assert_eq!(outcome.exit_code, 0, "GStreamer passes over it");
    let remarks = outcome.remarks(&probe, 0);
    assert!(remarks[0].starts_with("GStreamer cannot load "), "{remarks:?}");
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn nobody_listening_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (probe, counter) = traced(folder.path(), launch_line(LINE), "");
    let _ = std::os::unix::net::UnixStream::connect(&probe.socket);
    assert_eq!(counter.join().unwrap(), 0);
    let remarks = probe.run().unwrap().remarks(&probe, 0);
    assert!(remarks[0].starts_with("40 of 40 stage events could not be sent to "), "{remarks:?}");
}

#[test]
#[ignore = "needs GStreamer and the built tracer"]
fn other_tracers_go_on_beside_ours() {
    let script = format!("GST_TRACERS=\"latency;$GST_TRACERS\" gst-launch-1.0 -q {LINE}");
    assert_eq!(run(sh(&script), ""), (0, 40, Vec::new()));
}
