//! The log of messages that clients read from.

use std::collections::VecDeque;
use std::sync::Arc;

/// What the log keeps at most: some minutes, enough to resume after a lost connection.
const KEPT_BYTES: usize = 8 << 20;

/// A message that is not numbered yet: event, pair, data.
pub type Draft = (&'static str, Option<Arc<str>>, String);

/// One message of the stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, growing from 1.
    pub number: u64,
    /// `pairs`, `power`, ...
    pub event: &'static str,
    /// The pair of stages that it is about, if it is about one.
    pub pair: Option<Arc<str>>,
    /// JSON in one line.
    pub data: String,
}

/// The last messages, by number.
#[derive(Debug, Default)]
pub struct Log {
    /// Number of the last message; 0 before the first.
    last: u64,
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    /// Messages up to this one cannot be resumed from: another session began.
    barrier: u64,
}

impl Log {
    /// Appends a message.
    pub fn push(
        &mut self,
        event: &'static str,
        pair: Option<Arc<str>>,
        data: String,
    ) -> Arc<Message> {
        self.last += 1;
        self.bytes += data.len();
        let message = Arc::new(Message { number: self.last, event, pair, data });
        self.messages.push_back(Arc::clone(&message));
        while self.bytes > KEPT_BYTES && self.messages.len() > 1 {
            if let Some(oldest) = self.messages.pop_front() {
                self.bytes -= oldest.data.len();
            }
        }
        message
    }

    /// Number of the last message; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Tells that another session begins: nobody goes on from before.
    pub fn cut(&mut self) {
        self.barrier = self.last;
        self.messages.clear();
        self.bytes = 0;
    }

    /// The messages after `number`; `None` where some of them are gone.
    pub fn since(&self, number: u64) -> Option<Vec<Arc<Message>>> {
        let oldest = self.messages.front().map_or(self.last + 1, |m| m.number);
        let there = number >= self.barrier && number + 1 >= oldest && number <= self.last;
        there.then(|| {
            let skip = (number + 1 - oldest) as usize;
            self.messages.iter().skip(skip).cloned().collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_an_id_is_whole_or_refused() {
        let mut log = Log::default();
        assert_eq!(log.since(0), Some(vec![]));
        assert_eq!(log.since(1), None);
        for k in 0..20 {
            log.push("pairs", None, "x".repeat(1 << 20 >> (k % 2)));
        }
        let numbers = |since: u64| -> Option<Vec<u64>> {
            Some(log.since(since)?.iter().map(|m| m.number).collect())
        };
        assert_eq!(numbers(18), Some(vec![19, 20]));
        assert_eq!(numbers(20), Some(vec![]));
        assert_eq!(numbers(0), None, "too old");
        assert!(log.bytes <= KEPT_BYTES);
        log.cut();
        assert_eq!(log.since(19), None);
        assert_eq!(log.since(20), Some(vec![]));
    }
}
