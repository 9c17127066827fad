//! Rows of the past session that was asked for last, read once for all the parts of the page that need them.

use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bl_store::Manifest;
use tokio::sync::Mutex;

use super::problem::Problem;
use crate::live::{PairRow, PowerRow, StagePair};

/// Rows that nobody asks for are kept this long.
const KEPT: Duration = Duration::from_secs(60);

/// What rows are of. Those of a session that goes on are not kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    /// Another one, or the same that has changed.
    pub manifest: Manifest,
    pub pair: Option<StagePair>,
    pub device: Option<String>,
}

/// A row with a time.
pub(super) trait Timed {
    /// Nanoseconds UTC.
    fn ts_ns(&self) -> i64;
}

impl Timed for PairRow {
    fn ts_ns(&self) -> i64 {
        self.ts_ns
    }
}

impl Timed for PowerRow {
    fn ts_ns(&self) -> i64 {
        self.ts_ns
    }
}

/// Rows that are sorted by time, of which a stretch is wanted.
pub(super) struct Stretch<T> {
    rows: Arc<Vec<T>>,
    from: usize,
    to: usize,
}

impl<T: Timed> Stretch<T> {
    /// Those from `from_ns` to `to_ns`, both included.
    fn between(rows: Arc<Vec<T>>, from_ns: i64, to_ns: i64) -> Self {
        let from = rows.partition_point(|row| row.ts_ns() < from_ns);
        let to = rows.partition_point(|row| row.ts_ns() <= to_ns).max(from);
        Self { rows, from, to }
    }
}

impl<T: Timed> From<Vec<T>> for Stretch<T> {
    fn from(rows: Vec<T>) -> Self {
        let to = rows.len();
        Self { rows: Arc::new(rows), from: 0, to }
    }
}

impl<T> Deref for Stretch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.rows[self.from..self.to]
    }
}

struct Slot<T> {
    key: Key,
    rows: Arc<Vec<T>>,
    asked: Instant,
}

/// The rows that were asked for last.
pub(super) struct Kept<T>(Arc<Mutex<Option<Slot<T>>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Timed + Send + Sync + 'static> Kept<T> {
    /// The rows of `key` between two times, as far as they are here. `read` reads all of them; where `is_worth_it`,
    /// it is called, and who asks for the same meanwhile waits for it instead of reading too.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn between(
        &self,
        key: Key,
        (from_ns, to_ns): (i64, i64),
        is_worth_it: bool,
        read: impl Future<Output = Result<Vec<T>, Problem>>,
    ) -> Result<Option<Stretch<T>>, Problem> {
        let mut slot = self.0.lock().await;
        if let Some(known) = slot.as_mut().filter(|known| known.key == key) {
            known.asked = Instant::now();
            return Ok(Some(Stretch::between(Arc::clone(&known.rows), from_ns, to_ns)));
        }
        if !is_worth_it {
            return Ok(None);
        }
        // Those of before go first: both at once would be too much.
        *slot = None;
        let rows = Arc::new(read.await?);
        *slot = Some(Slot { key, rows: Arc::clone(&rows), asked: Instant::now() });
        tokio::spawn(forget(Arc::downgrade(&self.0)));
        Ok(Some(Stretch::between(rows, from_ns, to_ns)))
    }
}

/// Forgets rows that nobody has asked for lately.
async fn forget<T>(slot: Weak<Mutex<Option<Slot<T>>>>) {
    loop {
        tokio::time::sleep(KEPT).await;
        let Some(slot) = slot.upgrade() else { return };
        let mut slot = slot.lock().await;
        if slot.as_ref().is_none_or(|known| known.asked.elapsed() >= KEPT) {
            *slot = None;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn key(device: &str) -> Key {
        let root = tempfile::tempdir().unwrap();
        let store = bl_store::Store::new(root.path());
        let spec = bl_store::SessionSpec::default();
        let writer = bl_store::SessionWriter::begin(&store, spec, Default::default()).unwrap();
        let id = writer.finish().unwrap().id;
        let manifest = store.session(&id).unwrap().manifest().clone();
        Key { manifest, pair: None, device: Some(device.into()) }
    }

    #[tokio::test]
    async fn many_who_ask_for_the_same_have_it_read_once() {
        let kept: Kept<PowerRow> = Kept::default();
        let (reads, key) = (AtomicUsize::new(0), key("B1"));
        let rows = |ts: std::ops::Range<i64>| ts.map(|ts| PowerRow::from_watts(ts, [1.0; 15]));
        let read = || async {
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(rows(0..100).collect::<Vec<_>>())
        };
        let ask = |from, to| kept.between(key.clone(), (from, to), true, read());
        assert!(kept.between(key.clone(), (0, 9), false, read()).await.unwrap().is_none());
        let (a, b, c) = tokio::join!(ask(0, 99), ask(10, 19), ask(95, 1_000));
        let count =
            |found: Result<Option<Stretch<PowerRow>>, Problem>| found.unwrap().unwrap().len();
        assert_eq!((count(a), count(b), count(c)), (100, 10, 5));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        let narrow = kept.between(key.clone(), (0, 9), false, read()).await.unwrap().unwrap();
        assert!(narrow.iter().map(|row| row.ts_ns).eq(0..10), "what is here serves any stretch");
        let other = Key { device: None, ..key.clone() };
        kept.between(other, (0, 9), true, read()).await.unwrap();
        assert_eq!(reads.load(Ordering::Relaxed), 2, "of another board");
    }
}
