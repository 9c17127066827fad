//! Runs the sources of a recording, each on a thread of its own, and none at the mercy of another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::source::{Context, Reason, Sink, Source, SourceError, SourceState, SourceStatus, Stop};
use crate::watchdog::Watchdog;

/// The running sources of a recording. A handle: clones share the same sources, so that a source that finds
/// devices can start one for each.
#[derive(Clone)]
pub struct Supervisor {
    sink: Arc<dyn Sink>,
    stop: Stop,
    devices: Arc<Mutex<Vec<serde_json::Value>>>,
    running: Arc<Mutex<Vec<Running>>>,
}

struct Running {
    context: Context,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// No sources yet; all will write to `sink` and end at `stop`.
    pub fn new(sink: Arc<dyn Sink>, stop: Stop) -> Self {
        Self { sink, stop, devices: Arc::default(), running: Arc::default() }
    }

    /// Starts a source on a thread of its own.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(&self, mut source: Box<dyn Source>) -> std::io::Result<()> {
        let status = Arc::new(SourceStatus::new(source.name()));
        let context = Context::new(Arc::clone(&self.sink), self.stop.clone(), Arc::clone(&status))
            .with_devices(Arc::clone(&self.devices));
        // Linux shows fifteen bytes of a thread's name.
        let name = status.name.chars().take(15).collect();
        let own = context.clone();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || supervise(source.as_mut(), &own))?;
        self.lock().push(Running { context, thread: Some(thread) });
        Ok(())
    }

    /// Writes a row of `health` for each source that hangs in one call for longer than two seconds.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start_watchdog(&self) -> std::io::Result<()> {
        self.start(Box::new(Watchdog::new(self.clone())))
    }

    /// What each source that was started was given.
    pub(crate) fn contexts(&self) -> Vec<Context> {
        self.lock().iter().map(|r| r.context.clone()).collect()
    }

    /// The figures of every source that was started.
    pub fn statuses(&self) -> Vec<Arc<SourceStatus>> {
        self.lock().iter().map(|r| Arc::clone(r.context.status())).collect()
    }

    /// The devices that sources have found.
    pub fn devices(&self) -> Vec<serde_json::Value> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every source has ended after a stop; returns the names of those that have not within
    /// `patience` (a read of the kernel that hangs cannot be ended, and must not keep the rest).
    pub fn join(&self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        let mut left = Vec::new();
        let running: Vec<_> = std::mem::take(&mut *self.lock());
        for mut r in running {
            let Some(thread) = r.thread.take() else { continue };
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            // The thread catches panics of its source, so joining tells nothing more.
            if !thread.is_finished() || thread.join().is_err() {
                left.push(r.context.status().name.clone());
            }
        }
        left
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a source until it is done, again and again while it fails.
fn supervise(source: &mut dyn Source, context: &Context) {
    let (first_wait, longest_wait) = source.back_off();
    let mut wait = first_wait;
    let mut told = String::new();
    while !context.stopping() {
        let rows_before = context.status().rows();
        let outcome = catch_unwind(AssertUnwindSafe(|| source.run(context)))
            .unwrap_or_else(|panic| Err(SourceError::Retry(panic_text(panic.as_ref()))));
        // A call that panicked has ended, too.
        context.status().call_ends();
        if context.stopping() {
            break;
        }
        let (reason, failure) = match outcome {
            Ok(()) => break,
            Err(SourceError::Fatal(why)) => {
                context.health(Reason::Ended, 1, format!("{why}; it is not tried again"));
                return context.status().set_state(SourceState::Ended, why);
            }
            Err(SourceError::Retry(why)) => (Reason::Down, why),
            Err(SourceError::Denied(why)) => (Reason::Denied, why),
        };
        let delivered = context.status().rows() > rows_before;
        if delivered {
            wait = first_wait;
        }
        // The same failure again and again is told once.
        if delivered || failure != told {
            context.health(reason, 1, &failure);
            told.clone_from(&failure);
        }
        context.status().set_state(SourceState::Waiting, failure);
        context.stop().sleep_ns(wait.as_nanos() as i64);
        wait = (wait * 2).min(longest_wait);
    }
    context.status().set_state(SourceState::Ended, "");
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    format!("it panicked, which is a bug of bl: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kept::Kept;
    use bl_store::Rows;
    use bl_store::clock::monotonic_ns;

    /// Fails, panics, delivers and fails in turn.
    struct Moody(u32);

    impl Source for Moody {
        fn name(&self) -> String {
            "moody".into()
        }

        fn back_off(&self) -> (Duration, Duration) {
            (Duration::from_millis(1), Duration::from_millis(2))
        }

        fn run(&mut self, context: &Context) -> Result<(), SourceError> {
            self.0 += 1;
            match self.0 {
                1 | 2 => Err(SourceError::Retry("away".into())),
                3 => panic!("boo"),
                4 => {
                    let mut rows = Rows::new(bl_schemas::table("marks").unwrap());
                    rows.begin(monotonic_ns(), "moody");
                    context.flush(&mut rows);
                    Err(SourceError::Retry("away".into()))
                }
                5 => Err(SourceError::Fatal("enough".into())),
                _ => unreachable!(),
            }
        }
    }

    struct Steady;

    impl Source for Steady {
        fn name(&self) -> String {
            "steady".into()
        }

        fn run(&mut self, context: &Context) -> Result<(), SourceError> {
            while context.stop().sleep_ns(1_000_000_000) {}
            Ok(())
        }
    }

    #[test]
    fn a_source_that_fails_is_tried_again_and_stops_no_other() {
        let kept = Arc::new(Kept::default());
        let stop = Stop::new().unwrap();
        let supervisor = Supervisor::new(Arc::clone(&kept) as Arc<dyn Sink>, stop.clone());
        supervisor.start(Box::new(Moody(0))).unwrap();
        supervisor.start(Box::new(Steady)).unwrap();
        let statuses = supervisor.statuses();
        let deadline = Instant::now() + Duration::from_secs(20);
        while statuses[0].state().0 != SourceState::Ended {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(kept.texts("health", "reason"), ["down", "down", "up", "down", "ended"]);
        assert_eq!(statuses[0].state().1, "enough");
        assert_ne!(statuses[1].state().0, SourceState::Ended);
        stop.stop();
        assert_eq!(supervisor.join(Duration::from_secs(20)), Vec::<String>::new());
        assert_eq!(statuses[1].state().0, SourceState::Ended);
    }
}
