//! What happens when the process ends: what is queued is sent, and what there is to say is said.
//!
//! GStreamer gives up its tracers in `gst_deinit()`, which most applications never call, so this rests on
//! atexit(3). A process that is killed, or ends by `_exit`, sends no more than it has sent.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, PoisonError};

use crate::point::Points;
use crate::report::{self, Report};
use crate::writer::Handle;

/// The tracers of this process: an atexit handler is given nothing but what is global.
static TRACERS: Mutex<Vec<Tracer>> = Mutex::new(Vec::new());

struct Tracer {
    handle: Handle,
    points: Arc<Points>,
    report: Option<PathBuf>,
    instance: usize,
    process: u32,
}

/// From now on, the end of the process is also the end of this tracer.
pub fn expect(handle: Handle, points: Arc<Points>, report: Option<PathBuf>, instance: usize) {
    static REGISTERED: Once = Once::new();
    let tracer = Tracer { handle, points, report, instance, process: std::process::id() };
    if let Some(directory) = &tracer.report {
        report::write(directory, instance, &Report::default());
    }
    TRACERS.lock().unwrap_or_else(PoisonError::into_inner).push(tracer);
    // SAFETY: the handler is a function of this library, which GStreamer never unloads. Should there be no room
    // for it, the last few milliseconds of events are not sent.
    REGISTERED.call_once(|| unsafe {
        libc::atexit(end_of_process);
    });
}

extern "C" fn end_of_process() {
    let tracers = std::mem::take(&mut *TRACERS.lock().unwrap_or_else(PoisonError::into_inner));
    // The threads of a tracer are not in a fork of its process.
    for tracer in tracers.iter().filter(|tracer| tracer.process == std::process::id()) {
        let sent = tracer.handle.finish();
        let report = Report::of(&tracer.points, sent);
        match &tracer.report {
            Some(directory) => report::write(directory, tracer.instance, &report),
            None => report.complaints().iter().for_each(|line| eprintln!("bl: {line}")),
        }
    }
}
