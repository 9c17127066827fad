//! The sessions of a store, read again only where their `session.json` has changed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::SystemTime;

use bl_store::{Session, SessionId, State, Store, StoreError};
use serde_json::{Value, json};

use super::aligner::StagePair;
use super::time::{ms, ms_opt};

/// One session, as it was when it was looked at last.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The session.
    pub session: Session,
    /// Whether a process records it.
    pub is_live: bool,
    pairs: Vec<StagePair>,
}

impl Entry {
    /// The pairs of stages that are measured in it: those that it was recorded for. None where it has no events.
    pub fn pairs(&self) -> &[StagePair] {
        &self.pairs
    }

    /// Identities of its boards.
    pub fn devices(&self) -> Vec<&str> {
        let devices = &self.session.manifest().devices;
        let boards = devices.iter().filter(|d| d["kind"] == "benchlab");
        boards.filter_map(|d| d["id"].as_str()).collect()
    }

    /// `recording`, `ended` or `crashed`.
    pub fn state(&self) -> &'static str {
        match self.session.manifest().state {
            State::Recording if self.is_live => "recording",
            State::Ended => "ended",
            State::Recording | State::Recovered => "crashed",
        }
    }

    /// Bytes of its files; null where they cannot be read. It looks at each file.
    pub fn bytes(&self) -> Option<u64> {
        bytes_below(self.session.dir().path())
    }

    /// The shape **session**; `rows` are those counted by a reader while it is recorded.
    pub fn json(
        &self,
        now_ns: i64,
        rows: Option<&BTreeMap<&'static str, u64>>,
        bytes: Option<u64>,
    ) -> Value {
        let m = self.session.manifest();
        let end_ns = if self.is_live { Some(now_ns) } else { m.ended_ns };
        let rows = match rows {
            Some(rows) if self.is_live => json!(rows),
            _ => json!(m.rows),
        };
        let pairs: Vec<String> = self.pairs.iter().map(|(a, b)| format!("{a},{b}")).collect();
        json!({
            "id": m.id.as_str(), "node": m.node, "state": self.state(),
            "started": ms(m.started_ns), "ended": ms_opt(m.ended_ns),
            "duration_s": end_ns.map(|end| (end - m.started_ns).max(0) as f64 / 1e9),
            "simulated": m.simulated, "pairs": pairs, "sources": m.sources,
            "devices": self.devices(), "rows": rows,
            "bytes": bytes,
            "anchor_estimated": m.anchor_estimated,
        })
    }
}

fn bytes_below(folder: &Path) -> Option<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes += bytes_below(&entry.path()).unwrap_or(0),
            Ok(meta) => bytes += meta.len(),
            // Sealed or compacted away a moment ago.
            Err(_) => {}
        }
    }
    Some(bytes)
}

/// When a `session.json` was changed last, and its length.
type Version = (Option<SystemTime>, u64);

/// All sessions of a store.
#[derive(Debug)]
pub struct Catalog {
    store: Store,
    default_pairs: Vec<StagePair>,
    entries: HashMap<SessionId, (Version, Entry)>,
}

impl Catalog {
    /// The sessions of `store`; `default_pairs` are for those that do not say what they were recorded for.
    pub fn new(store: Store, default_pairs: Vec<StagePair>) -> Self {
        Self { store, default_pairs, entries: HashMap::new() }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Looks at the store again.
    ///
    /// # Errors
    /// When the sessions cannot be listed. One that cannot be read is left out.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        let ids = self.store.session_ids()?;
        self.entries.retain(|id, _| ids.binary_search(id).is_ok());
        for id in ids {
            let Ok(meta) = std::fs::metadata(self.store.dir(&id).manifest()) else { continue };
            let version = (meta.modified().ok(), meta.len());
            let known = self.entries.get(&id).map(|(version, entry)| (*version, entry.is_live));
            // While it is recorded, only the lock tells whether its process lives.
            if known.is_some_and(|(v, is_live)| v == version && !is_live) {
                continue;
            }
            if let Ok(session) = self.store.session(&id) {
                let entry = self.entry(session);
                self.entries.insert(id, (version, entry));
            }
        }
        Ok(())
    }

    fn entry(&self, session: Session) -> Entry {
        let m = session.manifest();
        let has_events = match m.state {
            State::Recording => session.dir().raw("pipeline").is_dir(),
            _ => m.rows.get("pipeline").is_some_and(|n| *n > 0),
        };
        let pairs = match serde_json::from_value(m.config["pairs"].clone()) {
            _ if !has_events => Vec::new(),
            Ok(pairs) => pairs,
            Err(_) => self.default_pairs.clone(),
        };
        Entry { is_live: session.is_live(), pairs, session }
    }

    /// The pairs to look for in a session whether it has events already or not.
    pub fn pairs_for(&self, session: &Session) -> Vec<StagePair> {
        serde_json::from_value(session.manifest().config["pairs"].clone())
            .unwrap_or_else(|_| self.default_pairs.clone())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The session of that name.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        let id: SessionId = id.parse().ok()?;
        self.entries.get(&id).map(|(_, entry)| entry)
    }

    /// All of them, newest first.
    pub fn newest_first(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.values().map(|(_, entry)| entry).collect();
        all.sort_by_key(|entry| {
            let m = entry.session.manifest();
            std::cmp::Reverse((m.started_ns, m.id.clone()))
        });
        all
    }

    /// The newest that is being recorded.
    pub fn live(&self) -> Option<&Entry> {
        self.entries
            .values()
            .map(|(_, entry)| entry)
            .filter(|entry| entry.is_live)
            .max_by_key(|entry| entry.session.manifest().started_ns)
    }
}
