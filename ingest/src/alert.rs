//! Alerts: rules over the rows as they are recorded.
//!
//! A rule says when readings are wrong (`max(hpwr1_wire*_a) > 9.2`), for how long they have to be, and when they are in
//! order again. Each board or card that the rule's table has rows of is judged by itself. What a rule finds is a row of
//! `health` (`alert`, `alert_cleared`) and, where one is configured, a command. Rows are judged on their way to the store,
//! in the thread of their collector; what waits (a command, a source that has fallen silent) has a thread of its own.

mod command;
mod config;
mod judge;
mod rule;
mod sink;
mod value;
mod watch;

#[cfg(test)]
mod tests;

pub use config::{AlertConfig, shipped, with_shipped};
pub use judge::Raised;
pub use rule::{Rule, RuleError};
pub use sink::AlertSink;
pub use watch::AlertWatch;
