//! Which boards are found, and by what they are selected.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::{Contract, Model, Uid};
use bl_ingest::serial::{
    BenchlabSource, BoardScanner, ConnectOptions, Device, Occupant, Roots, Roster, Selector,
    discover,
};
use bl_ingest::source::{SourceError, Stop};

use super::recording::{Recording, await_true};

/// A tree like /sys and /dev with USB serial ports.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("sys/class/tty")).unwrap();
        std::fs::create_dir_all(folder.path().join("dev")).unwrap();
        Self { folder }
    }

    fn roots(&self) -> Roots {
        Roots { sys: self.folder.path().join("sys"), dev: self.folder.path().join("dev") }
    }

    fn node(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("dev/ttyACM{number}"))
    }

    /// What the kernel shows of a port; the node is made by whoever is there.
    fn port(&self, number: usize, devnum: usize, ids: (&str, &str)) {
        let usb = self.folder.path().join(format!("sys/devices/usb1/1-{number}"));
        let interface = usb.join(format!("1-{number}:1.0"));
        std::fs::create_dir_all(&interface).unwrap();
        for (name, text) in [
            ("idVendor", ids.0),
            ("idProduct", ids.1),
            ("serial", "207E"),
            ("devnum", &devnum.to_string()),
        ] {
            std::fs::write(usb.join(name), format!("{text}\n")).unwrap();
        }
        let tty = self.folder.path().join(format!("sys/class/tty/ttyACM{number}"));
        std::fs::create_dir_all(&tty).unwrap();
        if !tty.join("device").exists() {
            symlink(&interface, tty.join("device")).unwrap();
        }
    }

    fn remove_port(&self, number: usize) {
        let tty = self.folder.path().join(format!("sys/class/tty/ttyACM{number}"));
        std::fs::remove_dir_all(tty).unwrap();
    }

    fn board(&self, number: usize, seed: u64) -> VirtualBoard {
        self.port(number, number, ("0483", "5740"));
        board_at(&self.node(number), seed)
    }
}

fn board_at(link: &Path, seed: u64) -> VirtualBoard {
    let mut options = BoardOptions::new(Model::Benchlab2, seed);
    options.link = Some(link.to_owned());
    VirtualBoard::start(options).unwrap()
}

fn quick() -> ConnectOptions {
    ConnectOptions { timeout: std::time::Duration::from_millis(200), ..Default::default() }
}

#[test]
fn boards_are_told_from_what_has_the_same_ids() {
    let machine = Machine::new();
    let first = machine.board(0, 1);
    let second = machine.board(3, 2);
    // Same ids, never answers; same class, other ids; no node; no tty of that kind.
    machine.port(1, 9, ("0483", "5740"));
    let silent = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).unwrap();
    rustix::pty::unlockpt(&silent).unwrap();
    let path = rustix::pty::ptsname(&silent, Vec::new()).unwrap();
    symlink(path.to_str().unwrap(), machine.node(1)).unwrap();
    machine.port(2, 10, ("0403", "6001"));
    symlink("/dev/null", machine.node(2)).unwrap();
    machine.port(4, 11, ("0483", "5740"));

    let found = discover(&machine.roots(), &quick(), &Stop::new().unwrap());
    let paths: Vec<&Path> = found.iter().map(|f| f.port.path.as_path()).collect();
    assert_eq!(paths, [machine.node(0), machine.node(1), machine.node(3)]);
    for (found, board) in [(&found[0], &first), (&found[2], &second)] {
        let Occupant::Board(identity) = &found.occupant else { panic!("{found:?}") };
        assert_eq!(identity.uid, board.uid());
        assert_eq!(identity.name, "BENCHLAB 2");
        assert_eq!(found.port.usb_serial.as_deref(), Some("207E"));
    }
    assert_eq!(found[2].port.usb_port, "1-3");
    assert!(matches!(&found[1].occupant, Occupant::Other(why) if why.contains("not a BENCHLAB")));
}

#[test]
fn a_port_in_use_is_shown_as_such() {
    let machine = Machine::new();
    let _board = machine.board(0, 1);
    let stop = Stop::new().unwrap();
    let device = Device::connect(&machine.node(0), &quick(), &stop).unwrap();
    let found = discover(&machine.roots(), &quick(), &stop);
    assert!(
        matches!(&found[0].occupant, Occupant::Unreachable(e) if e.to_string().contains("in use"))
    );
    drop(device);
}

#[test]
fn auto_records_every_board_also_those_that_come_later() {
    let machine = Machine::new();
    let roster = Roster::new(machine.roots(), quick());
    let mut scanner = BoardScanner::new(roster, 100.0, &[]);
    let stop = Stop::new().unwrap();
    assert!(scanner.poll(&stop).is_empty());
    let first = machine.board(0, 1);
    let mut recordings: Vec<Recording> =
        scanner.poll(&stop).into_iter().map(Recording::start).collect();
    assert_eq!(recordings.len(), 1);
    recordings[0].await_rows("benchlab", 5);
    let second = machine.board(1, 2);
    recordings.extend(scanner.poll(&stop).into_iter().map(Recording::start));
    assert_eq!(recordings.len(), 2);
    recordings[1].await_rows("benchlab", 5);
    assert!(scanner.poll(&stop).is_empty());

    // They change places: each source follows its own board, and no source is added.
    first.unplug();
    second.unplug();
    for recording in &recordings {
        await_true("both to leave", || recording.health("unplugged") == 1);
    }
    let (first_uid, second_uid) = (first.uid(), second.uid());
    drop((first, second));
    machine.remove_port(0);
    machine.remove_port(1);
    let _second = machine.board(0, 2);
    let _first = machine.board(1, 1);
    assert!(scanner.poll(&stop).is_empty());
    for (recording, (uid, number)) in recordings.iter_mut().zip([(first_uid, 1), (second_uid, 0)]) {
        await_true("the return", || recording.health("up") == 2);
        let devices = recording.devices.lock().unwrap().clone();
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0]["id"], uid.to_string());
        assert_eq!(devices[0]["path"], machine.node(number).to_str().unwrap());
        assert_eq!(recording.stop().unwrap(), 1);
    }
}

#[test]
fn one_source_alone_takes_any_board_and_two_take_two() {
    let machine = Machine::new();
    let _boards = [machine.board(0, 1), machine.board(1, 2)];
    let roster = Roster::new(machine.roots(), quick());
    let auto = || BenchlabSource::new(Selector::Auto, roster.clone(), 100.0);
    let mut recordings = [Recording::start(auto()), Recording::start(auto())];
    let uids = recordings.each_mut().map(|recording| {
        recording.await_rows("benchlab", 3);
        recording.stop().unwrap();
        recording.devices.lock().unwrap()[0]["id"].clone()
    });
    assert_ne!(uids[0], uids[1]);
}

#[test]
fn unknown_firmware_is_recorded_only_on_demand() {
    let newest = Model::Benchlab2.newest();
    let contract: &'static Contract = Box::leak(Box::new(Contract { firmware: 8, ..*newest }));
    let board = VirtualBoard::start(BoardOptions::of(contract, 1)).unwrap();
    let selector = Selector::Path(board.path().unwrap());
    let source = |allow_unknown_firmware| {
        let options = ConnectOptions { allow_unknown_firmware, ..quick() };
        let roster = Roster::new(Roots::default(), options);
        BenchlabSource::new(selector.clone(), roster, 100.0)
    };
    let mut refused = Recording::start(source(false));
    await_true("the refusal", || refused.ended());
    let Err(SourceError::Fatal(why)) = refused.stop() else { panic!("recorded") };
    assert!(why.contains("BENCHLAB 2 firmware 08 is not known"), "{why}");
    let mut recording = Recording::start(source(true));
    recording.await_rows("benchlab", 5);
    recording.stop().unwrap();
    assert_eq!(recording.devices.lock().unwrap()[0]["draft_firmware"], true);
}

#[test]
fn selectors_are_written_as_text() {
    let uid = "424C11000000000000000001";
    assert_eq!("auto".parse(), Ok(Selector::Auto));
    assert_eq!("/dev/ttyACM0".parse(), Ok(Selector::Path("/dev/ttyACM0".into())));
    assert_eq!(uid.parse(), Ok(Selector::Uid(uid.parse::<Uid>().unwrap())));
    for selector in ["auto", "/dev/ttyACM0", uid] {
        assert_eq!(selector.parse::<Selector>().unwrap().to_string(), selector);
    }
    let why = "ttyACM0".parse::<Selector>().unwrap_err().to_string();
    assert!(why.contains("/dev/ttyACM0") && why.contains("auto"), "{why}");
}
