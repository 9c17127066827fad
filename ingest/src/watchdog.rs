//! Tells of sources that hang.

use std::time::Duration;

use bl_store::clock::monotonic_ns;

use crate::source::{Context, Reason, Source, SourceError, SourceState};
use crate::supervisor::Supervisor;

/// How much longer than it should a call may take before the source counts as stalled.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it looks.
const LOOK_NS: i64 = 250_000_000;

/// Looks after the sources of a supervisor: one that has been in a single call for two seconds (longer
/// than that call is given, see [`Context::watched`]) gets a row of
/// `health` with the reason [`Reason::Stalled`] and waits from then on, so that its next rows make it
/// [`Reason::Up`] again. A read that hangs in the kernel cannot be ended; it holds up its own source alone.
pub struct Watchdog {
    supervisor: Supervisor,
    patience: Duration,
}

impl Watchdog {
    /// Looks after all sources of `supervisor`, also those that start later.
    pub fn new(supervisor: Supervisor) -> Self {
        Self { supervisor, patience: PATIENCE }
    }

    fn look(&self) {
        let before_ns = monotonic_ns() - self.patience.as_nanos() as i64;
        for context in self.supervisor.contexts() {
            if context.status().stalls_since(before_ns) {
                let text = format!(
                    "{} has hung in one call for more than {} s: the kernel or a device does not answer",
                    context.status().name,
                    self.patience.as_secs_f64()
                );
                context.health(Reason::Stalled, 1, &text);
                context.status().set_state(SourceState::Waiting, text);
            }
        }
    }
}

impl Source for Watchdog {
    fn name(&self) -> String {
        "watchdog".into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        while context.stop().sleep_ns(LOOK_NS) {
            self.look();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::host::HostSource;
    use crate::hwmon::HwmonSource;
    use crate::source::kept::{Kept, changeable};
    use crate::source::{Sink, Stop};

    fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !there() {
            assert!(Instant::now() < until, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// When one source was up and when it stalled, by `health`.
    fn told(kept: &Kept, source: &str) -> Vec<String> {
        let rows = kept.texts("health", "source").into_iter().zip(kept.texts("health", "reason"));
        let of_it = |(name, reason): &(String, String)| {
            name == source && ["up", "stalled"].contains(&reason.as_str())
        };
        rows.filter(of_it).map(|(_, reason)| reason).collect()
    }

    /// Puts a pipe that nobody writes into in the place of a file.
    fn make_pipe(path: &std::path::Path) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        std::fs::remove_file(path).unwrap();
        mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    }

    #[test]
    fn a_file_that_never_answers_stalls_its_source_alone_and_is_told() {
        let root = changeable("hwmon/desktop");
        let kept = Arc::new(Kept::default());
        let stop = Stop::new().unwrap();
        let supervisor = Supervisor::new(Arc::clone(&kept) as Arc<dyn Sink>, stop.clone());
        supervisor.start(Box::new(HwmonSource::new(root.path(), 50.0))).unwrap();
        supervisor.start(Box::new(HostSource::memory("/", 50.0))).unwrap();
        let patience = Duration::from_millis(200);
        let watchdog = Watchdog { supervisor: supervisor.clone(), patience };
        supervisor.start(Box::new(watchdog)).unwrap();
        wait_for("both deliver", || !kept.of("hwmon").is_empty() && !kept.of("memory").is_empty());

        // A pipe that nobody writes into: to open it hangs, as some drivers' files do.
        let name = root.path().join("sys/class/hwmon/hwmon0/name");
        let text = std::fs::read(&name).unwrap();
        make_pipe(&name);
        wait_for("the stall is told", || told(&kept, "host.hwmon") == ["up", "stalled"]);
        let (stalled, others) = (kept.of("hwmon").len(), kept.of("memory").len());
        wait_for("the other goes on", || kept.of("memory").len() > others + 20);
        assert_eq!(kept.of("hwmon").len(), stalled);
        assert_eq!(told(&kept, "host.hwmon"), ["up", "stalled"], "once for each call");
        assert_eq!(supervisor.statuses()[0].state().0, SourceState::Waiting);

        // The kernel answers again: who opens it from now on finds the file, and who hangs is let go.
        let (pipe, file) = (root.path().join("pipe"), root.path().join("file"));
        std::fs::hard_link(&name, &pipe).unwrap();
        std::fs::write(&file, &text).unwrap();
        std::fs::rename(&file, &name).unwrap();
        // Who was let go may be faster than this, as a pipe cannot be read at a place.
        if let Err(e) = std::fs::write(&pipe, &text) {
            assert_eq!(e.kind(), std::io::ErrorKind::BrokenPipe);
        }
        let again = ["up", "stalled", "up"];
        wait_for("it is up again", || {
            told(&kept, "host.hwmon").starts_with(&again.map(Into::into))
        });
        assert_eq!(told(&kept, "host.memory"), ["up"]);
        stop.stop();
        assert_eq!(supervisor.join(Duration::from_secs(20)), Vec::<String>::new());
    }
}
