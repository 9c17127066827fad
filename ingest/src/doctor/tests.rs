use std::net::TcpListener;
use std::path::Path;

use super::*;
use crate::network::{KitOptions, MqttOptions};
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
    assert_eq!(amd(&fixture("gpu/amd-workstation"), true).state, State::Works);
    assert_eq!(intel(&fixture("gpu/amd-workstation"), true).state, State::Broken);
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(intel(dir.path(), false).state, State::Absent);
    let chosen = ["0", "0000:13:00.0", "0000:77:00.0"].map(str::to_owned);
    let missing = chosen_cards(&fixture("gpu/amd-workstation"), &chosen);
    assert_eq!((missing.len(), missing[0].state), (1, State::Broken), "{missing:?}");
    assert!(missing[0].text.starts_with("0000:77:00.0 is not there"), "{missing:?}");
    assert_eq!(sensors(dir.path(), false).state, State::Absent);
    assert_eq!(sensors(dir.path(), true).state, State::Broken);
    assert_eq!([host(dir.path()).state, host(Path::new("/")).state], [State::Broken, State::Works]);
    assert_eq!(rapl(dir.path(), false).state, State::Absent);
    assert_eq!(rapl(dir.path(), true).state, State::Broken);
    let machine = std::fs::read_dir(fixture("rapl")).unwrap().next().unwrap().unwrap().path();
    let found = rapl(&machine, true);
    assert_eq!(found.state, State::Works, "{found:?}");
    assert!(found.text.contains("package"), "{found:?}");
}

#[test]
fn what_waits_who_works_and_what_supplies() {
    let dir = tempfile::tempdir().unwrap();
    let states = |root: &Path, is_asked| {
        [pressure(root, is_asked).state, power_supplies(root, is_asked).state]
    };
    assert_eq!(states(dir.path(), false), [State::Absent; 2]);
    assert_eq!(states(dir.path(), true), [State::Broken; 2]);
    assert_eq!(pressure(&fixture("host/workstation"), false).state, State::Works);
    let laptop = power_supplies(&fixture("host/laptop"), true);
    assert_eq!((laptop.state, laptop.text.as_str()), (State::Works, "AC, BAT0, BAT1"));
    assert_eq!(processes(dir.path()).state, State::Limited);
    // As root, and as anyone else, this machine has processes.
    let here = processes(Path::new("/"));
    assert!(here.state == State::Works || here.remedy.is_some(), "{here:?}");
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
    assert_eq!(data_root(Path::new("/proc/nowhere")).state, State::Broken, "not even for root");
}

#[test]
fn a_selected_port_is_asked_who_is_there() {
    use crate::serial::emulator::{BoardOptions, VirtualBoard};
    use crate::serial::protocol::Model;
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots { sys: dir.path().join("sys"), dev: dir.path().join("dev") };
    let stop = Stop::new().unwrap();
    let board = VirtualBoard::start(BoardOptions::new(Model::Original, 1)).unwrap();
    let found = boards(&roots, &[Selector::Path(board.path().unwrap())], &stop);
    assert_eq!((found.len(), found[0].state), (1, State::Works), "{found:?}");
    assert!(found[0].text.contains(&board.uid().to_string()), "{found:?}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let found = boards(&roots, &[Selector::Path(file)], &stop);
    assert_eq!((found.len(), found[0].state), (1, State::Broken), "{found:?}");
    assert!(found[0].remedy.is_some());
}

/// Answers each of so many requests with that.
fn answering(requests: usize, answer: &'static [u8]) -> std::net::SocketAddr {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let run = move || {
        for stream in listener.incoming().take(requests) {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        }
    };
    std::thread::Builder::new().name("server".into()).spawn(run).unwrap();
    address
}

#[test]
fn services_are_asked_as_their_sources_ask_them() {
    let stop = Stop::new().unwrap();
    let check = |address: std::net::SocketAddr| {
        let url = format!("http://{address}");
        let options = KitOptions {
            endpoint: url.clone(),
            api_key: None,
            device_timeout: std::time::Duration::from_millis(100),
            hz: 10.0,
        };
        let mqtt =
            MqttOptions { broker: address.to_string(), prefix: "benchlab".into(), login: None };
        [support_kit(&options, &stop), pytools(&url, &stop), broker(&mqtt, &stop)]
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = listener.local_addr().unwrap();
    drop(listener);
    for finding in check(away) {
        assert_eq!(finding.state, State::Broken, "{finding:?}");
        assert!(finding.text.contains("refused") && finding.remedy.is_some(), "{finding:?}");
    }
    let boards = b"HTTP/1.1 200 OK\r\ncontent-length: 54\r\nconnection: close\r\n\r\n\
                   [{\"device\":\"x\",\"isBenchlab\": true, \"connected\": true}]";
    let [kit, api, broker] = check(answering(3, boards));
    assert_eq!([kit.state, api.state], [State::Works; 2], "{kit:?} {api:?}");
    assert_eq!(broker.state, State::Broken, "that is no broker: {broker:?}");
    let [kit, api, broker] = check(answering(3, &[0x20, 2, 0, 0]));
    assert_eq!([kit.state, api.state], [State::Broken; 2], "{kit:?} {api:?}");
    assert_eq!(broker.state, State::Works, "{broker:?}");
    let [.., broker] = check(answering(3, &[0x20, 2, 0, 5]));
    assert!(broker.text.contains("benchlab_sdk.mqtt_user"), "{broker:?}");
}

#[test]
fn a_port_in_use_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(listen("page", address).state, State::Limited);
    drop(listener);
    assert_eq!(listen("page", address).state, State::Works);
}
