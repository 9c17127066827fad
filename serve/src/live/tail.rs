//! The rows of one session, read as they are written.

use arrow::array::RecordBatch;
use bl_schemas::Table;
use bl_store::Follower;

use super::catalog::Entry;

/// Rows of a table, fresh from the store.
pub(super) type NewRows = (&'static Table, RecordBatch);

/// Reads what is new of each table of a session.
#[derive(Default)]
pub(super) struct Tail(Vec<Follower>);

impl Tail {
    /// Reads a session from `from_ns` on; marks and losses from its start on: they are few, and wanted whole.
    pub fn new(entry: &Entry, from_ns: i64) -> Self {
        let followers = followed_tables().map(|table| {
            let is_whole = ["health", "marks"].contains(&table.name.as_str());
            Follower::new(&entry.session, table, if is_whole { i64::MIN } else { from_ns })
        });
        Self(followers.collect())
    }

    /// Reads what is new. Returns what went wrong besides.
    pub fn read(&mut self) -> (Vec<NewRows>, Option<String>) {
        let (mut rows, mut error) = (Vec::new(), None);
        for follower in &mut self.0 {
            let table = follower.table();
            match follower.poll() {
                Ok(batches) => rows.extend(batches.into_iter().map(|batch| (table, batch))),
                Err(e) => error = Some(e.to_string()),
            }
        }
        (rows, error)
    }

    /// Bytes of the segments that are being written.
    pub fn open_bytes(&self) -> u64 {
        self.0.iter().map(Follower::open_bytes).sum()
    }

    /// Tells that `session.json` has changed: files may have come and gone.
    pub fn look_again(&mut self) {
        self.0.iter_mut().for_each(Follower::look_again);
    }
}

/// The tables that are followed; power before events, so that pairs find theirs.
fn followed_tables() -> impl Iterator<Item = &'static Table> {
    let first = bl_schemas::table("benchlab");
    let others = bl_schemas::tables()
        .iter()
        .filter(|t| !t.aligned && !["benchlab", "frames", "clock"].contains(&t.name.as_str()));
    first.into_iter().chain(others)
}
