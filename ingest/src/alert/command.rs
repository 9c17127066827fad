//! The command of an alert: started without a shell, and ended when it takes too long.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::judge::Change;
use crate::source::Stop;

/// How often it is looked at.
const LOOK_NS: i64 = 20_000_000;

/// Runs the command of a change, for `bound` at most. Its environment says what happened: `BL_ALERT`, `BL_ALERT_STATE`
/// (`raised`, `cleared`), `BL_ALERT_SUBJECT` and `BL_ALERT_DETAIL`.
///
/// # Errors
/// Why it did not end well, in a sentence.
pub(super) fn run(change: &Change, bound: Duration, stop: &Stop) -> Result<(), String> {
    let [program, arguments @ ..] = change.command.as_slice() else { return Ok(()) };
    let state = if change.is_raised { "raised" } else { "cleared" };
    let child = Command::new(program)
        .args(arguments)
        .env("BL_ALERT", &change.rule)
        .env("BL_ALERT_STATE", state)
        .env("BL_ALERT_SUBJECT", &change.subject)
        .env("BL_ALERT_DETAIL", &change.detail)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own, so that what it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(|e| format!("{program} cannot be started: {e}"))?;
    match wait(child, bound, stop).map_err(|e| format!("{program}: {e}"))? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{program} ended with {status}")),
        None => Err(format!("{program} was ended after {} s", bound.as_secs_f64())),
    }
}

/// Waits for the child; `None` when it had to be ended.
fn wait(mut child: Child, bound: Duration, stop: &Stop) -> std::io::Result<Option<ExitStatus>> {
    let until = Instant::now() + bound;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until || !stop.sleep_ns(LOOK_NS) {
            break;
        }
    }
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may have ended by itself just now.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    child.wait()?;
    Ok(None)
}
