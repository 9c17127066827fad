//! Which boards are found, and by what they are selected.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bl_ingest::Supervisor;
use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::{Contract, Model, Uid};
use bl_ingest::serial::{
    BenchlabSource, BoardScanner, ConnectOptions, Device, Occupant, Roots, Roster, Selector,
    discover,
};
use bl_ingest::source::{SourceState, Stop};

use super::recording::{Recording, await_true};

/// A tree like /sys and /dev with USB serial ports.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let everyone = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everyone).unwrap();
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
    await_true("the refusal", || refused.health("down") == 1);
    let why = refused.details("down").join("");
    assert!(why.contains("BENCHLAB 2 firmware 08 is not known"), "{why}");
    // It may be flashed while the recording runs: it is asked again, and told once.
    let requests = board.requests();
    await_true("the next question", || board.requests() > requests);
    assert!(!refused.ended());
    refused.stop().unwrap();
    assert_eq!((refused.health("down"), refused.rows("benchlab")), (1, 0));
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

/// A recording of every board of a machine, and what it tells.
struct Scan {
    recording: Recording,
    supervisor: Supervisor,
}

impl Scan {
    fn start(machine: &Machine) -> Self {
        Self::start_as(machine, || ())
    }

    fn start_as(machine: &Machine, first: fn()) -> Self {
        let roster = Roster::new(machine.roots(), quick());
        let scanner = BoardScanner::new(roster, 100.0, &[]);
        let (recording, supervisor) = Recording::of_boards(scanner, first);
        Self { recording, supervisor }
    }

    fn state(&self) -> (SourceState, String) {
        self.recording.context.status().state()
    }

    /// Waits until the scanner says of a port what `words` say, in its state and in one row of `health`.
    fn await_told(&self, reason: &str, words: &str) {
        await_true(words, || {
            let (state, text) = self.state();
            state == SourceState::Waiting && text.contains(words)
        });
        await_true("health", || self.recording.details(reason).iter().any(|d| d.contains(words)));
        let told = self.recording.details(reason);
        assert_eq!(told.iter().filter(|d| d.contains(words)).count(), 1, "{told:?}");
    }

    fn end(mut self) {
        self.recording.stop().unwrap();
        assert_eq!(self.supervisor.join(std::time::Duration::from_secs(20)), Vec::<String>::new());
    }
}

#[test]
fn no_board_is_what_the_scanner_says_only_where_there_is_none() {
    let scan = Scan::start(&Machine::new());
    await_true("the first look", || scan.state().1 == "no board is plugged in");
    assert_eq!(scan.recording.rows("health"), 0);
    scan.end();
}

#[test]
fn a_board_in_use_is_told_and_recorded_once_it_is_free() {
    let machine = Machine::new();
    let _board = machine.board(0, 1);
    let stop = Stop::new().unwrap();
    let user = Device::connect(&machine.node(0), &quick(), &stop).unwrap();
    let scan = Scan::start(&machine);
    scan.await_told("down", "in use by another program");
    drop(user);
    scan.recording.await_rows("benchlab", 5);
    await_true("the state", || scan.state().0 == SourceState::Up);
    scan.end();
}

/// Makes this thread, and no other of the process, one that files take for a stranger's: root opens whatever it likes.
fn become_nobody() {
    const NOBODY: u32 = 65_534;
    // SAFETY: these take numbers and no memory; the system call itself, unlike libc's function, is for one thread.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>());
        libc::setfsgid(NOBODY);
        libc::setfsuid(NOBODY);
    }
}

#[test]
fn a_board_that_may_not_be_opened_is_told_and_recorded_once_it_may() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    let board = machine.board(0, 1);
    let mode = |mode| {
        let path = board.path().unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0);
    let scan = Scan::start_as(&machine, become_nobody);
    scan.await_told("denied", "permission denied: add yourself to the group dialout");
    mode(0o666);
    scan.recording.await_rows("benchlab", 5);
    scan.end();
}

#[test]
fn a_board_of_unknown_firmware_is_told_and_asked_again() {
    let machine = Machine::new();
    let newest = Model::Benchlab2.newest();
    let contract: &'static Contract = Box::leak(Box::new(Contract { firmware: 9, ..*newest }));
    machine.port(0, 0, ("0483", "5740"));
    let mut options = BoardOptions::of(contract, 1);
    options.link = Some(machine.node(0));
    let board = VirtualBoard::start(options).unwrap();
    let scan = Scan::start(&machine);
    scan.await_told("down", "BENCHLAB 2 firmware 09 is not known to this version of bl");
    let requests = board.requests();
    await_true("the next question", || board.requests() > requests);
    assert_eq!(scan.recording.rows("benchlab"), 0);
    scan.end();
}

#[test]
fn a_board_that_is_silent_after_plugging_in_is_asked_again() {
    let machine = Machine::new();
    machine.port(0, 0, ("0483", "5740"));
    let mut options = BoardOptions::new(Model::Original, 1);
    options.link = Some(machine.node(0));
    options.silent = std::time::Duration::from_millis(2_500);
    let _board = VirtualBoard::start(options).unwrap();
    let scan = Scan::start(&machine);
    await_true("what it says", || scan.state().1.contains("not a BENCHLAB board, or it hangs"));
    scan.recording.await_rows("benchlab", 5);
    scan.end();
}

#[test]
fn a_board_selected_by_its_uid_says_what_is_in_its_way() {
    let machine = Machine::new();
    let board = machine.board(0, 1);
    let stop = Stop::new().unwrap();
    let user = Device::connect(&machine.node(0), &quick(), &stop).unwrap();
    let roster = Roster::new(machine.roots(), quick());
    let source = BenchlabSource::new(Selector::Uid(board.uid()), roster, 100.0);
    let mut recording = Recording::start(source);
    await_true("health", || recording.health("down") == 1);
    let (told, state) = (recording.details("down"), recording.context.status().state().1);
    for text in [&told[0], &state] {
        assert!(text.contains("in use by another program"), "{text}");
    }
    drop(user);
    recording.await_rows("benchlab", 5);
    recording.stop().unwrap();
}
