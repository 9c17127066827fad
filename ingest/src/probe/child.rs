//! The command: its start, the signals, its end.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

use super::ProbeError;

/// Runs it and returns its exit code, 128 + the signal's number if a signal ended it.
pub(super) fn run(
    command: &[OsString],
    variables: [(&'static str, OsString); 2],
) -> Result<i32, ProbeError> {
    let (program, arguments) = command.split_first().ok_or(ProbeError::NoCommand)?;
    // Caught before there is a child, so that none is left behind.
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])
        .map_err(ProbeError::Watch)?;
    let over = signals.handle();
    let mut child =
        Command::new(program).args(arguments).envs(variables).spawn().map_err(|cause| {
            let program = program.to_string_lossy().into_owned();
            ProbeError::Start { program, cause }
        })?;
    let pid = Pid::from_child(&child);
    let forward = std::thread::Builder::new().name("bl-signals".into()).spawn(move || {
        signals.forever().for_each(|origin| pass_on(pid, origin.signal, origin.cause))
    });
    let ended = wait_for_end(pid);
    // Only from here on may the pid be another process': nobody signals it any more.
    over.close();
    let forwarded = forward.map(|thread| thread.join());
    let status = child.wait().map_err(ProbeError::Watch)?;
    ended.and(forwarded.map(drop)).map_err(ProbeError::Watch)?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// Waits until the child has ended, and leaves it unreaped, so that its pid stays its own.
fn wait_for_end(pid: Pid) -> std::io::Result<()> {
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Err(rustix::io::Errno::INTR) => {}
            ended => return Ok(ended.map(drop)?),
        }
    }
}

fn pass_on(pid: Pid, signal: i32, cause: Cause) {
    // The terminal sends its signals to the whole foreground group, this child included: a second one would be
    // taken for impatience (gst-launch -e ends at once on it).
    if matches!(cause, Cause::Kernel) {
        return;
    }
    if let Some(signal) = Signal::from_named_raw(signal) {
        // It may just have ended.
        let _ = kill_process(pid, signal);
    }
}
