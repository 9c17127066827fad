//! Faults that come back with every sample, told once in a while with their count.

use bl_store::clock::monotonic_ns;

use super::{Context, Reason};

/// How often one fault is told at most.
const QUIET_NS: i64 = 10_000_000_000;

/// Gathers faults so that one that lasts fills no table: the first is a row of `health` at once, those that
/// follow are one row with their count every ten seconds.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

#[derive(Debug)]
struct Fault {
    reason: Reason,
    detail: String,
    count: u64,
    due_ns: i64,
}

impl Faults {
    /// Notes a fault, `count` times.
    pub fn note(&mut self, reason: Reason, count: u64, detail: impl AsRef<str>) {
        let detail = detail.as_ref();
        match self.0.iter_mut().find(|f| f.reason == reason && f.detail == detail) {
            Some(fault) => fault.count += count,
            None => self.0.push(Fault { reason, detail: detail.to_owned(), count, due_ns: 0 }),
        }
    }

    /// Notes a fault whose words differ each time: all of one reason are counted together, and told in the words of
    /// the first.
    pub fn gather(&mut self, reason: Reason, count: u64, detail: impl AsRef<str>) {
        match self.0.iter_mut().find(|f| f.reason == reason) {
            Some(fault) => fault.count += count,
            None => self.note(reason, count, detail),
        }
    }

    /// Writes to `health` what is due, and forgets what has not come back.
    pub fn tell(&mut self, context: &Context) {
        if !self.0.is_empty() {
            self.tell_at(context, monotonic_ns());
        }
    }

    /// Writes to `health` all that is left: a source's last word.
    pub fn tell_all(&mut self, context: &Context) {
        self.tell_at(context, i64::MAX - QUIET_NS);
    }

    fn tell_at(&mut self, context: &Context, now: i64) {
        self.0.retain_mut(|fault| {
            if fault.due_ns > now {
                return true;
            }
            if fault.count == 0 {
                return false;
            }
            context.health(fault.reason, fault.count, &fault.detail);
            fault.count = 0;
            fault.due_ns = now + QUIET_NS;
            true
        });
    }
}
