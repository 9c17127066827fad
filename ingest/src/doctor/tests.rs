use std::net::TcpListener;
use std::path::Path;

use super::*;
use crate::serial::{Roots, Selector};
use crate::source::Stop;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn a_board_that_was_selected_and_is_absent_is_broken_and_auto_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots { sys: dir.path().join("sys"), dev: dir.path().join("dev") };
    let stop = Stop::new().unwrap();
    let auto = boards(&roots, &[Selector::Auto], &stop);
    assert_eq!(auto.iter().map(|f| f.state).collect::<Vec<_>>(), [State::Absent]);
    let named = boards(&roots, &["/dev/nonsense".parse().unwrap()], &stop);
    assert_eq!(named[0].state, State::Broken);
    assert!(named[0].text.contains("/dev/nonsense"), "{named:?}");
}

#[test]
fn cards_and_counters_are_found_in_the_trees_of_real_machines() {
    assert_eq!(cards(&fixture("gpu/amd-workstation")).state, State::Works);
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(cards(dir.path()).state, State::Absent);
    assert_eq!(sensors(dir.path()).state, State::Absent);
    assert_eq!(rapl(dir.path(), false).state, State::Absent);
    assert_eq!(rapl(dir.path(), true).state, State::Broken);
    let machine = std::fs::read_dir(fixture("rapl")).unwrap().next().unwrap().unwrap().path();
    let found = rapl(&machine, true);
    assert_eq!(found.state, State::Works, "{found:?}");
    assert!(found.text.contains("package"), "{found:?}");
}

#[test]
fn clocks_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sys/devices/system/clocksource/clocksource0");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("current_clocksource"), "hpet\n").unwrap();
    let slow = clock_source(dir.path());
    assert_eq!(slow.state, State::Limited);
    assert!(slow.text.starts_with("hpet") && slow.remedy.is_some());
    std::fs::write(folder.join("current_clocksource"), "tsc\n").unwrap();
    assert_eq!(clock_source(dir.path()).state, State::Works);
    assert_eq!(data_root(&dir.path().join("not/there/yet")).state, State::Works);
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(data_root(&dir.path().join("file/below")).state, State::Broken);
}

#[test]
fn a_port_in_use_and_a_service_that_is_away_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(listen("page", address).state, State::Limited);
    assert_eq!(service("broker", &address.to_string()).state, State::Works);
    drop(listener);
    assert_eq!(listen("page", address).state, State::Works);
    assert_eq!(service("broker", &address.to_string()).state, State::Broken);
    assert_eq!(service("broker", "no port").state, State::Broken);
}
