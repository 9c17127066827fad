//! The systemd units are valid and hardened, as far as this machine can tell.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_recorder_unit_is_valid_and_hardened() {
    let unit =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/bl-ingest.service");
    let text = std::fs::read_to_string(unit).unwrap();
    // The program must exist for the unit to be valid.
    let program = env!("CARGO_BIN_EXE_bl");
    assert!(text.contains("ExecStart=/usr/bin/bl "));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("bl-ingest.service");
    std::fs::write(&copy, text.replace("/usr/bin/bl ", &format!("{program} "))).unwrap();
    // Documentation= is looked up too, and is installed by the package only.
    for arguments in
        [&["verify", "--man=no"][..], &["security", "--offline=true", "--threshold=20"]]
    {
        let output = match Command::new("systemd-analyze").args(arguments).arg(&copy).output() {
            Ok(output) => output,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("not checked: systemd-analyze is not installed");
                return;
            }
            Err(e) => panic!("{e}"),
        };
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}
