//! What of alerts waits: silence, and commands.

use std::sync::Arc;
use std::time::Duration;

use bl_store::Reason;
use crossbeam_channel::Receiver;

use super::command;
use super::judge::Change;
use super::rule::Rule;
use super::sink::{AlertSink, SOURCE};
use crate::source::{Context, Source, SourceError};

/// How often it looks for silence: half a second beside limits of seconds.
const LOOK_NS: i64 = 500_000_000;

/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(10);

/// Looks for silence and starts the commands of alerts, one after the other.
pub struct AlertWatch {
    sink: Arc<AlertSink>,
    commands: Receiver<Change>,
    command_bound: Duration,
}

impl AlertWatch {
    /// Has `sink` judge by `rules`. `None` when it does by others already.
    pub fn new(sink: Arc<AlertSink>, rules: Vec<Rule>) -> Option<Self> {
        let commands = sink.set_rules(rules)?;
        Some(Self { sink, commands, command_bound: COMMAND })
    }

    /// Gives commands another time than ten seconds.
    pub fn with_command_bound(mut self, bound: Duration) -> Self {
        self.command_bound = bound;
        self
    }
}

impl Source for AlertWatch {
    fn name(&self) -> String {
        SOURCE.into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        while context.stop().sleep_ns(LOOK_NS) {
            self.sink.look_for_silence();
            for change in self.commands.try_iter() {
                let bound = self.command_bound;
                let ran = context.watched(bound, || command::run(&change, bound, context.stop()));
                if let Err(why) = ran {
                    context.health(
                        Reason::Down,
                        1,
                        format!("the command of alert {}: {why}", change.rule),
                    );
                }
            }
        }
        Ok(())
    }
}
