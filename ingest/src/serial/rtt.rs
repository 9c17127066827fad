//! The shortest round trip of a board, which bounds how well its stamps can be known.

use bl_store::Rows;

use super::device::Identity;
use crate::source::Context;

/// How often the minimum is written even if it stays.
const EVERY_NS: i64 = 10_000_000_000;

/// The running minimum of one connection.
#[derive(Debug)]
pub(super) struct RttFloor {
    min_ns: i64,
    due_ns: i64,
}

impl RttFloor {
    pub(super) fn new() -> Self {
        Self { min_ns: i64::MAX, due_ns: 0 }
    }

    /// Notes a round trip that ended at `now_ns`: a row of table `clock` when the minimum improves, and every 10 s.
    pub(super) fn note(
        &mut self,
        context: &Context,
        source: &str,
        identity: &Identity,
        rtt_ns: i64,
        now_ns: i64,
    ) {
        if rtt_ns >= self.min_ns && now_ns < self.due_ns {
            return;
        }
        self.min_ns = self.min_ns.min(rtt_ns);
        self.due_ns = now_ns + EVERY_NS;
        let Some(table) = bl_schemas::table("clock") else { return };
        let mut rows = Rows::new(table);
        let [monotonic, uid, min] =
            ["monotonic_ns", "device_uid", "rtt_min_ns"].map(|name| rows.column(name));
        rows.begin(context.anchor().ts(now_ns), source);
        rows.i64(monotonic, now_ns);
        rows.str(uid, identity.uid.to_string().as_str());
        rows.i64(min, self.min_ns);
        context.flush(&mut rows);
    }
}
