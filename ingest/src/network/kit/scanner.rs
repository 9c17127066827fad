//! Every board of the service, each on a source of its own.

use std::collections::BTreeSet;

use super::device::{KitDevice, list};
use super::{KitOptions, KitSource, NAME};
use crate::source::{Context, Source, SourceError, SourceState};
use crate::supervisor::Supervisor;

/// How often the service is asked for its devices: it keeps its own list for a minute.
const SCAN_NS: i64 = 20_000_000_000;

/// Starts a [`KitSource`] for each board that the service has, now or later.
pub struct KitScanner {
    options: KitOptions,
    supervisor: Supervisor,
    started: BTreeSet<String>,
}

impl KitScanner {
    /// Starts the sources with `supervisor`, which is to run this one too.
    pub fn new(options: KitOptions, supervisor: Supervisor) -> Self {
        Self { options, supervisor, started: BTreeSet::new() }
    }

    fn scan(&mut self, context: &Context) -> Result<(), SourceError> {
        let client = super::client(&self.options, context.stop());
        for listed in list(&client)? {
            if self.started.contains(&listed.name) {
                continue;
            }
            let name = Some(listed.name.as_str());
            let is_board =
                listed.is_benchlab || KitDevice::find(&client, &self.options, name)?.is_board();
            if is_board {
                let source = KitSource::new(self.options.clone(), Some(listed.name.clone()));
                self.supervisor
                    .start(Box::new(source))
                    .map_err(|e| SourceError::Retry(format!("no thread for a board: {e}")))?;
                self.started.insert(listed.name);
            }
        }
        Ok(())
    }
}

impl Source for KitScanner {
    fn name(&self) -> String {
        format!("{NAME}.scan")
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        loop {
            let outcome = self.scan(context);
            if context.stopping() {
                return Ok(());
            }
            outcome?;
            let state =
                if self.started.is_empty() { SourceState::Waiting } else { SourceState::Up };
            context.status().set_state(state, format!("{} boards", self.started.len()));
            context.stop().sleep_ns(SCAN_NS);
        }
    }
}
