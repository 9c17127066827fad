//! The other end of the socket is late, goes away, does not read: the pipeline runs on, and losses are exact.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

use super::harness::{Event, Place, accept, gst_launch, read_events, receive, wait};
use serde_json::Value;

/// Two seconds at 30 frames a second.
const LIVE: &str = "-q videotestsrc name=src is-live=true num-buffers=60 ! \
                    video/x-raw,width=32,height=32,framerate=30/1 ! fakesink name=out";
/// As fast as it goes.
const FAST: &str = "-q videotestsrc name=src num-buffers=50000 pattern=black ! \
                    video/x-raw,width=16,height=16,framerate=30/1 ! fakesink name=out";

/// The report of the one process that wrote into this folder.
fn report(place: &Place) -> Value {
    let mut entries = std::fs::read_dir(place.folder().join("report")).unwrap();
    let file = entries.next().expect("a report").unwrap().path();
    assert!(entries.next().is_none(), "one process, one report");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// A place with a folder for reports, and the setting that names it.
fn with_report() -> (Place, String) {
    let place = Place::new();
    let folder = place.folder().join("report");
    std::fs::create_dir(&folder).unwrap();
    let setting = format!(",report={}", folder.display());
    (place, setting)
}

fn succeeded(output: &Output) -> bool {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    true
}

#[test]
fn a_receiver_that_comes_late_misses_nothing() {
    let (place, setting) = with_report();
    let child = gst_launch(&place.socket(), &setting, LIVE).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(900));
    let receiver = receive(place.listen());
    assert!(succeeded(&wait(child)));
    let events = receiver.join().unwrap();
    let seqs: Vec<u64> = events.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (0..120).collect::<Vec<_>>());
    assert_eq!(report(&place)["sent"], 120);
}

#[test]
fn a_receiver_that_goes_away_and_comes_back_gets_what_follows() {
    let (place, setting) = with_report();
    let listener = place.listen();
    let child = gst_launch(&place.socket(), &setting, LIVE).spawn().unwrap();
    let first = accept(&listener);
    std::thread::sleep(Duration::from_millis(400));
    // Nobody listens, and the connection breaks: a write to it would be a SIGPIPE.
    drop((listener, first));
    std::fs::remove_file(place.socket()).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    let receiver = receive(place.listen());
    assert!(succeeded(&wait(child)));
    let events = receiver.join().unwrap();
    let seqs: Vec<u64> = events.iter().map(|e| e.seq).collect();
    let from = seqs[0];
    assert!(from > 0, "the first receiver had some");
    assert_eq!(seqs, (from..120).collect::<Vec<_>>(), "whole, from where the first one ended");
    assert_eq!(report(&place)["sent"], 120);
}

#[test]
fn without_a_receiver_the_pipeline_runs_and_ends_at_once() {
    let place = Place::new();
    let output = wait(gst_launch(&place.socket(), "", FAST).spawn().unwrap());
    assert!(succeeded(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "bl: 100000 of 100000 stage events could not be sent\n");
}

#[test]
fn a_receiver_that_never_reads_holds_nothing_up() {
    let (place, setting) = with_report();
    let listener = place.listen();
    let child = gst_launch(&place.socket(), &setting, FAST).spawn().unwrap();
    let stalled = accept(&listener);
    assert!(succeeded(&wait(child)));
    let report = report(&place);
    assert_eq!(report["events"], 100_000);
    assert!(report["sent"].as_u64().unwrap() < 100_000, "{report}");
    // What the socket took comes out of it whole; only the last line may be torn.
    let text = std::io::read_to_string(stalled).unwrap();
    let whole = text.matches('\n').count() as u64 - 1;
    assert_eq!(report["sent"], whole);
}

#[test]
fn every_event_that_a_slow_receiver_misses_is_a_gap() {
    let (place, setting) = with_report();
    let listener = place.listen();
    let started = Instant::now();
    let child = gst_launch(&place.socket(), &setting, FAST).spawn().unwrap();
    let stream = accept(&listener);
    // It reads once the queue must have overflowed.
    std::thread::sleep(Duration::from_millis(700));
    let reader = std::thread::Builder::new().spawn(move || read_events(stream)).unwrap();
    assert!(succeeded(&wait(child)));
    let took = started.elapsed();
    let events: Vec<Event> = reader.join().unwrap();
    let report = report(&place);
    assert_eq!(report["sent"], events.len() as u64, "{report} after {took:?}");
    let seqs: BTreeSet<u64> = events.iter().map(|e| e.seq).collect();
    assert_eq!(seqs.len(), events.len(), "no number twice");
    assert!(events.is_sorted_by_key(|e| e.seq), "in order");
    let gaps = seqs.last().unwrap() + 1 - seqs.len() as u64;
    let lost = 100_000 - events.len() as u64;
    // Those lost after the last one sent are no gap; the report has them.
    assert!(gaps <= lost, "{gaps} of {lost}");
    // Nothing is lost otherwise: numbers and stages advance together.
    let stages: BTreeSet<&str> = events.iter().map(|e| e.stage.as_str()).collect();
    assert_eq!(stages, BTreeSet::from(["out", "src"]));
}

#[test]
fn the_report_says_what_was_traced() {
    let (place, setting) = with_report();
    let receiver = receive(place.listen());
    let stages = format!("{setting},stages=\"in=src.src+nowhere=enc.src\"");
    let output = wait(gst_launch(&place.socket(), &stages, LIVE).spawn().unwrap());
    assert!(succeeded(&output));
    assert_eq!(output.stderr, b"", "with a report, nothing on stderr");
    assert_eq!(receiver.join().unwrap().len(), 60);
    let expected = serde_json::json!({
        "ended": true,
        "events": 60,
        "sent": 60,
        "stages": [
            {"stage": "in", "pad": "src.src", "events": 60},
            {"stage": "nowhere", "pad": "enc.src", "events": 0},
        ],
        "pads": ["capsfilter0.sink", "capsfilter0.src", "out.sink", "src.src"],
    });
    assert_eq!(report(&place), expected);
}

#[test]
fn settings_that_make_no_sense_are_told_and_the_application_runs() {
    let place = Place::new();
    let output = wait(gst_launch(&place.socket(), ",stage=\"a=b.c\"", LIVE).spawn().unwrap());
    assert!(succeeded(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("nothing is traced: GST_TRACERS: there is no setting \"stage\""),
        "{stderr}"
    );
}

/// Root may connect to anything, so gst-launch runs as nobody here; anyone else is refused by the mode of the socket.
#[test]
fn a_socket_that_is_not_for_this_user_holds_nothing_up() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    let _listener = place.listen();
    let set_mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(place.folder(), 0o755);
    set_mode(&place.socket(), 0o660);
    let mut command = gst_launch(&place.socket(), "", FAST);
    // Nobody can write where the tests keep GStreamer's registry, nor read the build's folder, so both are in this one.
    let plugins = place.folder().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    let plugin = super::harness::plugin_folder().join("libgstbl.so");
    std::fs::copy(plugin, plugins.join("libgstbl.so")).unwrap();
    command.env("GST_PLUGIN_PATH", &plugins);
    command.env("GST_REGISTRY", place.folder().join("registry.bin"));
    if rustix::process::geteuid().is_root() {
        set_mode(place.folder(), 0o777);
        command.uid(65_534).gid(65_534);
    }
    let output = wait(command.spawn().unwrap());
    assert!(succeeded(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("100000 of 100000 stage events could not be sent"), "{stderr}");
}
