//! `bl doctor` as it is run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Exit code and standard output.
fn doctor(folder: &Path, config: &str, arguments: &[&str]) -> (i32, String) {
    std::fs::write(folder.join("config.toml"), config).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_bl"))
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("BENCHLAB_DATA_ROOT", folder.join("data"))
        .env("BENCHLAB_CONFIG", folder.join("config.toml"))
        .output()
        .unwrap();
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
}

fn state(json: &str, subject: &str) -> String {
    let findings: serde_json::Value = serde_json::from_str(json).unwrap();
    let found = findings.as_array().unwrap().iter().find(|f| f["subject"] == subject);
    found.unwrap_or_else(|| panic!("no {subject} in {json}"))["state"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_missing_is_no_failure_and_what_was_asked_for_is() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let base = format!("[pipeline]\nevents = {:?}\n", folder.join("bl.sock"));
    let (code, json) = doctor(folder, &base, &["--json"]);
    assert_eq!(code, 0, "{json}");
    assert_eq!(state(&json, "data root"), "works");
    assert_eq!(state(&json, "stage events"), "works");
    assert!(!folder.join("data").exists(), "it makes nothing");

    let named = format!("{base}[benchlab]\ndevice = \"/dev/nonsense\"\n");
    let (code, json) = doctor(folder, &named, &["--json"]);
    assert_eq!((code, state(&json, "board").as_str()), (1, "broken"), "{json}");
    let (code, text) = doctor(folder, &named, &[]);
    assert_eq!(code, 1);
    let line = text.lines().find(|line| line.contains("/dev/nonsense")).unwrap();
    assert!(line.starts_with("FAIL"), "{text}");
    assert!(!text.contains('\x1b'), "colours in a pipe: {text}");

    let broker = format!("{base}[benchlab_sdk]\nmqtt_broker = \"127.0.0.1:1\"\n");
    let (code, json) = doctor(folder, &broker, &["--json"]);
    assert_eq!((code, state(&json, "MQTT broker").as_str()), (1, "broken"), "{json}");
}

#[test]
fn a_port_in_use_is_told_with_the_command_that_shows_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!("[web]\nbind = \"127.0.0.1:{port}\"\n");
    let (code, text) = doctor(dir.path(), &config, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&format!("ss -ltnp 'sport = :{port}'")), "{text}");
}
