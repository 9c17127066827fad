//! What a person is told of sources that record nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use bl_ingest::source::{SourceState, SourceStatus};

/// How long sources have to find what they are of.
const SETTLED_NS: i64 = 3_000_000_000;

/// Tells once which sources found nothing, and of each that is given up.
#[derive(Debug, Default)]
pub struct Notices {
    has_told_absent: bool,
    given_up: BTreeSet<String>,
}

impl Notices {
    /// What is new since the last call, `elapsed_ns` after the recording began.
    pub fn news(&mut self, statuses: &[Arc<SourceStatus>], elapsed_ns: i64) -> Vec<String> {
        let mut news = Vec::new();
        for status in statuses {
            let (state, why) = status.state();
            let is_failure = state == SourceState::Ended && !why.is_empty();
            if is_failure && self.given_up.insert(status.name.clone()) {
                news.push(format!("{} is not tried again: {why}", status.name));
            }
        }
        if !self.has_told_absent && elapsed_ns >= SETTLED_NS {
            self.has_told_absent = true;
            news.extend(absent(statuses));
        }
        news
    }
}

/// The sources of this machine that have found nothing to record. Boards and servers have words of their own.
fn absent(statuses: &[Arc<SourceStatus>]) -> Option<String> {
    let is_of_machine = |name: &str| name.starts_with("gpu.") || name.starts_with("host.");
    let found_nothing =
        |s: &&Arc<SourceStatus>| s.rows() == 0 && s.state().0 == SourceState::Waiting;
    let names: Vec<&str> = statuses
        .iter()
        .filter(found_nothing)
        .map(|s| s.name.as_str())
        .filter(|name| is_of_machine(name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "nothing to record yet for {}: looked for again all the while; bl doctor tells what they need",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_told_once_and_what_is_given_up_each_time() {
        let status = |name: &str, state, why: &str| {
            let status = SourceStatus::new(name.to_owned());
            status.set_state(state, why);
            Arc::new(status)
        };
        let statuses = [
            status("gpu.amd", SourceState::Waiting, "no card"),
            status("host.cpu", SourceState::Up, ""),
            status("benchlab.scan", SourceState::Waiting, "no board"),
            status("host.rapl", SourceState::Waiting, "no counters"),
        ];
        let mut notices = Notices::default();
        assert!(notices.news(&statuses, 1).is_empty(), "too early to tell");
        let told = notices.news(&statuses, SETTLED_NS);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("for gpu.amd, host.rapl: looked for again"), "{told:?}");
        let ended = [status("benchlab.kit", SourceState::Ended, "it wants its key")];
        let told = notices.news(&ended, SETTLED_NS);
        assert_eq!(told, ["benchlab.kit is not tried again: it wants its key"]);
        assert!(notices.news(&ended, SETTLED_NS).is_empty());
    }
}
