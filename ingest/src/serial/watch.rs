//! Looks for boards, and starts a source for each.

use std::time::Duration;

use super::obstacles::{Obstacles, sentence};
use super::scanner::BoardScanner;
use crate::source::{Context, Source, SourceError, SourceState};
use crate::supervisor::Supervisor;

/// How long asking every port that is new takes at most: the watchdog waits longer.
const SCAN: Duration = Duration::from_secs(10);

/// Looks for boards, and starts a source for each.
pub struct BoardWatch {
    scanner: BoardScanner,
    supervisor: Supervisor,
}

impl BoardWatch {
    /// Starts what `scanner` finds in `supervisor`.
    pub fn new(scanner: BoardScanner, supervisor: Supervisor) -> Self {
        Self { scanner, supervisor }
    }
}

impl Source for BoardWatch {
    fn name(&self) -> String {
        "benchlab.scan".into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut found = 0;
        let mut obstacles = Obstacles::default();
        while !context.stopping() {
            let sources = context.watched(SCAN, || self.scanner.poll(context.stop()));
            for source in sources {
                found += 1;
                self.supervisor
                    .start(Box::new(source))
                    .map_err(|e| SourceError::Retry(format!("no thread for a board: {e}")))?;
            }
            let in_the_way = self.scanner.in_the_way();
            let (state, mut text) = match found {
                0 if in_the_way.is_empty() => {
                    (SourceState::Waiting, "no board is plugged in".into())
                }
                0 => (SourceState::Waiting, "no board can be recorded".into()),
                n => (SourceState::Up, format!("{n} found")),
            };
            if !in_the_way.is_empty() {
                text = format!("{text}; {}", sentence(&in_the_way));
            }
            obstacles.note(context, in_the_way);
            context.status().set_state(state, text);
            context.stop().sleep_ns(1_000_000_000);
        }
        Ok(())
    }
}
