//! Which board's power counts where none is named.

/// So long after the first sample, another board may still turn out to have had an earlier one: their
/// samples come in batches of their own.
const UNDECIDED_NS: i64 = 1_000_000_000;

/// The board with the first sample of a session; at one instant, the first in order of names. Boards
/// are never added up: two of them may measure the same supply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstBoard {
    first: Option<(i64, String)>,
}

impl FirstBoard {
    /// Takes a sample. Recordings of other tools may not tell which board one is of: an empty name.
    pub fn see(&mut self, ts_ns: i64, uid: &str) {
        let is_first = self.first.as_ref().is_none_or(|(first_ns, first)| {
            ts_ns < *first_ns || ts_ns == *first_ns && uid < first.as_str()
        });
        if is_first {
            self.first = Some((ts_ns, uid.into()));
        }
    }

    /// The board, as far as is known.
    pub fn uid(&self) -> Option<&str> {
        self.first.as_ref().map(|(_, uid)| uid.as_str())
    }

    /// The board, once no other will turn out to have been the first.
    pub fn decided(&self, now_ns: i64) -> Option<&str> {
        let (first_ns, uid) = self.first.as_ref()?;
        (now_ns.saturating_sub(*first_ns) >= UNDECIDED_NS).then_some(uid)
    }
}
