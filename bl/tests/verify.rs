//! `bl verify`: what it says of files that are whole, damaged, gone, and of which nothing is known.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in what they call")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Bl(tempfile::TempDir);

impl Bl {
    fn recorded() -> Self {
        let bl = Self(tempfile::tempdir().unwrap());
        let events = bl.0.path().join("bl.sock");
        let what = ["ingest", "--simulate", "--no-host", "--session", "s", "--duration", "1s"];
        let out = bl.run(&[&what[..], &["--events", events.to_str().unwrap()]].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        bl
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bl"))
            .args(args)
            .env("BENCHLAB_DATA_ROOT", self.0.path())
            .env("BENCHLAB_CONFIG", "/dev/null")
            .output()
            .unwrap()
    }

    /// Exit code and what it says.
    fn verify(&self, args: &[&str]) -> (i32, String) {
        let out = self.run(&[&["verify"], args].concat());
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    }

    fn file_of(&self, table: &str) -> PathBuf {
        files(&self.0.path().join("sessions/s/raw").join(table)).remove(0)
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.extend(
                Some(entry.path()).filter(|p| p.extension().is_some_and(|e| e == "parquet")),
            ),
        }
    }
    found
}

#[test]
fn one_flipped_bit_is_named_in_one_line_and_set_aside_by_repair() {
    let bl = Bl::recorded();
    let (code, said) = bl.verify(&[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("s: whole: "), "{said}");

    let path = bl.file_of("benchlab");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (code, said) = bl.verify(&["s"]);
    assert_eq!(code, 1, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[1].contains(&path.display().to_string()) && lines[1].contains(": damaged: "));
    let all: serde_json::Value = serde_json::from_str(&bl.verify(&["--json"]).1).unwrap();
    assert_eq!(all[0]["verdict"], "damaged");
    assert_eq!(all[0]["findings"][0]["path"], path.display().to_string());

    let (code, said) = bl.verify(&["--repair"]);
    assert_eq!(code, 1, "what is set aside stays a loss: {said}");
    assert!(said.contains("mended: ") && said.contains("set aside"), "{said}");
    assert!(!path.exists());
    let out = bl.run(&["query", "--format", "csv", "SELECT count(*) FROM pipeline"]);
    assert!(out.status.success(), "the other tables answer: {out:?}");
}

#[test]
fn a_session_that_is_not_there_is_a_wrong_call_or_a_clear_sentence() {
    let bl = Bl(tempfile::tempdir().unwrap());
    let out = bl.run(&["verify", "none"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("none"), "{out:?}");
    assert_eq!(bl.run(&["verify", "../x"]).status.code(), Some(2));
    let (code, said) = bl.verify(&[]);
    assert_eq!((code, said.as_str()), (0, ""));
}

#[test]
fn a_session_without_its_manifest_is_told_and_mended() {
    let bl = Bl::recorded();
    let manifest = bl.0.path().join("sessions/s/session.json");
    let count = || {
        let out = bl.run(&["query", "--format", "csv", "SELECT count(*) FROM benchlab"]);
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let rows = count();
    assert!(rows > 0);
    for damage in [Some("{\"id\": \"s\", "), Some(""), None] {
        match damage {
            Some(text) => std::fs::write(&manifest, text).unwrap(),
            None => std::fs::remove_file(&manifest).unwrap(),
        }
        let out = bl.run(&["sessions"]);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.contains("session.json"), "{damage:?}: {said}");
        let out = bl.run(&["doctor", "--store"]);
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{damage:?}: {said}");
        assert!(said.contains("1 sessions: 1 mended, 0 broken"), "{damage:?}: {said}");
        assert_eq!(count(), rows, "{damage:?}");
    }
}
