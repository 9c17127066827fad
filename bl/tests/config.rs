//! `bl config` as it is run.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in what they call")]

use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;

/// Runs `bl` in an empty environment but for `variables`.
fn bl(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bl"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("XDG_DATA_HOME", "/home/u/share")
        .env("XDG_RUNTIME_DIR", "/run/user/7")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const FILE: &str = r#"[general]
data_root = "/srv/bench"
node_name = "lab-1"

[benchlab_sdk]
api_key = "s3cr3t"
enable_rgb_feedback = true

[flows]
steps = [{ id = "capture", latency_target_ms = 120 }]
"#;

#[test]
fn show_tells_values_and_origins_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bl.toml"), FILE).unwrap();
    let variables = [("BENCHLAB_SAMPLE_HZ", "25"), ("BENCHLAB_CONFIG", "bl.toml")];
    let text = stdout(&bl(folder.path(), &["config", "show"], &variables));
    assert_snapshot!("show", text);
    assert!(!text.contains("s3cr3t"));
    // What it prints is a configuration.
    std::fs::write(folder.path().join("shown.toml"), text.replace("***", "k")).unwrap();
    stdout(&bl(folder.path(), &["config", "check", "shown.toml"], &[]));

    let json = stdout(&bl(folder.path(), &["config", "show", "--json"], &variables));
    assert!(!json.contains("s3cr3t"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["benchlab_sdk"]["api_key"]["value"], "***");
    assert_eq!(json["general"]["sample_hz"]["value"], 25.0);
    assert_eq!(json["general"]["sample_hz"]["origin"]["name"], "BENCHLAB_SAMPLE_HZ");
    assert_eq!(json["general"]["node_name"]["origin"]["line"], 3);
    assert_eq!(json["web"]["token"]["value"], serde_json::Value::Null);
}

#[test]
fn default_is_a_file_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&bl(folder.path(), &["config", "default"], &[]));
    std::fs::write(folder.path().join("d.toml"), &text).unwrap();
    stdout(&bl(folder.path(), &["config", "check", "d.toml"], &[]));
}

#[test]
fn check_names_what_does_nothing_yet() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bl.toml"), FILE).unwrap();
    let checked = stdout(&bl(folder.path(), &["config", "check", "bl.toml"], &[]));
    assert!(checked.starts_with("bl.toml: the configuration is good\n"), "{checked}");
    assert!(checked.contains("benchlab_sdk.enable_rgb_feedback (bl.toml:7): "), "{checked}");
}

#[test]
fn wrong_configuration_exits_with_2_and_says_all_on_stderr() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bl.toml"), "[general]\nsampel_hz = 1\n[web]\nbind = 3\n")
        .unwrap();
    for arguments in
        [&["config", "check", "bl.toml"][..], &["--config", "bl.toml", "config", "show"]]
    {
        let output = bl(folder.path(), arguments, &[("BENCHLAB_BAUD", "x")]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(output.stdout, b"");
        assert_snapshot!("refused", String::from_utf8(output.stderr).unwrap());
    }
}
