//! A recorder that is killed: what it left stays in view.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bl_serve::web::Limits;
use bl_store::Store;
use serde_json::Value;

use super::rig::{FRAMES, record, request, serve};

const ROOT: &str = "BL_TEST_RECORDER_ROOT";

/// The recorder: this program once more, with a store to record into.
#[test]
fn recorder_to_be_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let _writer = record(&Store::new(root));
    println!("recording");
    std::thread::sleep(Duration::from_secs(120));
}

#[test]
fn what_a_killed_recorder_left_stays_in_view() {
    let root = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::recorder_to_be_killed", "--nocapture"])
        .env(ROOT, root.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (web, stop, thread) = serve(Store::new(root.path()), Limits::default(), None);
    let status = || -> Value {
        let answer = request(web, "GET", "/api/status", "", "").unwrap();
        serde_json::from_str(&answer.body).unwrap()
    };
    let state = || status()["session"]["state"].as_str().map(str::to_string);
    let wait = |wanted: &str| {
        let end = Instant::now() + Duration::from_secs(30);
        while state().as_deref() != Some(wanted) {
            assert!(Instant::now() < end, "never {wanted}: {}", status());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait("recording");
    let rows = || -> usize {
        let live = request(web, "GET", "/api/live?window=900", "", "").unwrap();
        let live: Value = serde_json::from_str(&live.body).unwrap();
        live["rows"].as_array().unwrap().len()
    };
    let end = Instant::now() + Duration::from_secs(30);
    while rows() < FRAMES as usize {
        assert!(Instant::now() < end, "it records nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    wait("crashed");
    // It looks for sessions once a second.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(state().as_deref(), Some("crashed"), "it is gone");
    let duration = status()["session"]["duration_s"].as_f64();
    assert!(duration.is_some_and(|s| s < 30.0), "as long as its rows reach: {duration:?}");
    assert_eq!(rows(), FRAMES as usize);
    stop.send(()).unwrap();
    thread.join().unwrap();
}
