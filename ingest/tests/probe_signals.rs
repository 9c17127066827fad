//! Signals at the probe: passed on, but for those that the command gets from the terminal itself.

// The helpers of tests may fail them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bl_ingest::probe::Probe;
use rustix::process::{Pid, Signal, getpid, ioctl_tiocsctty, kill_process, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn probe(command: Vec<std::ffi::OsString>) -> Probe {
    Probe {
        command,
        stages: Vec::new(),
        socket: "/nowhere".into(),
        plugin_folder: "/nowhere".into(),
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_signal_for_the_probe_is_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let script = format!(
        "trap 'exit 7' TERM; : > {}; i=0; while [ $i -lt 600 ]; do sleep 0.05; i=$((i+1)); done",
        ready.display()
    );
    let command = ["sh", "-c", &script].map(Into::into).to_vec();
    let run = std::thread::Builder::new().spawn(move || probe(command).run().unwrap());
    wait_for("the command's start", || Path::exists(&ready));
    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(run.unwrap().join().unwrap().exit_code, 7);
}

/// Set where this program plays one of the roles below.
const ROLE: &str = "BL_TEST_PLAYS_A_ROLE";

/// This program once more, as one of the roles below.
fn role(name: &str) -> Vec<std::ffi::OsString> {
    let program = std::env::current_exe().unwrap().into_os_string();
    let arguments = ["--exact", name, "--ignored", "--nocapture"].map(Into::into);
    std::iter::once(program).chain(arguments).collect()
}

#[test]
#[ignore = "not a test: what a_terminals_interrupt_comes_once runs as the probe"]
fn as_the_probe() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let outcome = probe(role("as_the_command")).run().unwrap();
    std::process::exit(outcome.exit_code);
}

#[test]
#[ignore = "not a test: what a_terminals_interrupt_comes_once runs as the command"]
fn as_the_command() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT]).unwrap();
    println!("ready");
    let mut causes: Vec<Cause> = signals.wait().map(|origin| origin.cause).collect();
    // A second one would come at once.
    std::thread::sleep(Duration::from_millis(300));
    causes.extend(signals.pending().map(|origin| origin.cause));
    println!("causes: {causes:?}");
    let once = matches!(causes[..], [Cause::Kernel]);
    std::process::exit(if once { 40 } else { 41 });
}

/// Starts a command as the session of a new terminal, of which the other side is returned.
fn on_a_terminal(command: &[std::ffi::OsString]) -> (Child, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let open = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
    let mut command_line = Command::new(&command[0]);
    command_line.args(&command[1..]).env(ROLE, "1").stdin(open()).stdout(open()).stderr(open());
    // SAFETY: only system calls between fork and exec, where 0 is the terminal.
    unsafe {
        command_line.pre_exec(|| {
            setsid()?;
            Ok(ioctl_tiocsctty(BorrowedFd::borrow_raw(0))?)
        })
    };
    (command_line.spawn().unwrap(), File::from(ours))
}

#[test]
fn a_terminals_interrupt_comes_once() {
    let (mut child, mut terminal) = on_a_terminal(&role("as_the_probe"));
    let pid = Pid::from_child(&child);
    let mut keyboard = terminal.try_clone().unwrap();
    let screen = std::thread::Builder::new().spawn(move || {
        let (mut shown, mut block, mut typed) = (String::new(), [0; 4096], false);
        // The read fails when the last process of the terminal has gone.
        while let Ok(count) = terminal.read(&mut block) {
            shown.push_str(&String::from_utf8_lossy(&block[..count]));
            if !typed && shown.contains("ready") {
                keyboard.write_all(b"\x03").unwrap();
                typed = true;
            }
        }
        shown
    });
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            kill_process(pid, Signal::KILL).unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let shown = screen.unwrap().join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(40), "{shown}");
}
