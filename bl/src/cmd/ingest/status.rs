//! The live line of a recording on a terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use bl_ingest::source::{SourceState, SourceStatus};
use bl_store::clock::monotonic_ns;

use crate::terminal::{grouped, span};

/// One line that is written over again and again; nothing where stderr is no terminal.
pub struct StatusLine {
    live: bool,
    began_ns: i64,
    before: BTreeMap<String, (u64, i64)>,
}

impl StatusLine {
    /// A line for a recording that began then (`CLOCK_MONOTONIC`).
    pub fn new(began_ns: i64) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        Self { live: std::io::stderr().is_terminal() && !dumb, began_ns, before: BTreeMap::new() }
    }

    /// Shows how the sources are doing.
    pub fn show(&mut self, statuses: &[Arc<SourceStatus>]) {
        if !self.live {
            return;
        }
        let now = monotonic_ns();
        let mut parts = vec![span(now - self.began_ns)];
        let mut rows: BTreeMap<&str, (u64, u64, bool)> = BTreeMap::new();
        for s in statuses {
            let entry = rows.entry(&s.name).or_default();
            entry.0 += s.rows();
            entry.1 += s.lost();
            entry.2 |= s.state().0 == SourceState::Waiting;
        }
        for (name, (n, lost, waiting)) in rows {
            let (before, then) =
                self.before.insert(name.into(), (n, now)).unwrap_or((0, self.began_ns));
            let rate = (n - before.min(n)) as f64 / ((now - then).max(1) as f64 / 1e9);
            match (n, waiting, lost) {
                (0, _, _) => {}
                (n, true, _) => parts.push(format!("{name} {} waiting", grouped(n))),
                (n, false, 0) => parts.push(format!("{name} {} ({rate:.0}/s)", grouped(n))),
                (n, false, lost) => {
                    parts.push(format!(
                        "{name} {} ({rate:.0}/s, {} lost)",
                        grouped(n),
                        grouped(lost)
                    ));
                }
            }
        }
        self.write(&parts.join("  "));
    }

    /// Says something on a line of its own.
    pub fn say(&self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.live {
            self.write("");
        }
    }

    fn write(&self, text: &str) {
        let width = terminal_width().saturating_sub(1);
        let shown: String = text.chars().take(width).collect();
        let mut err = std::io::stderr().lock();
        // A terminal that has gone away is no reason to stop recording.
        let _ = write!(err, "\r\x1b[2K{shown}");
        let _ = err.flush();
    }
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .map_or(80, |size| usize::from(size.ws_col).max(20))
}
