//! Who has graphics cards open, and how they work for it.

use std::collections::{BTreeMap, HashMap};

use bl_store::clock::monotonic_ns;

use super::fdinfo::Client;
use super::files::ProcFiles;

/// How often processes that opened a card are looked for: that reads a link for each file that any process has open.
const SEARCH_NS: i64 = 10_000_000_000;

/// What cards did for a process.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Work {
    /// Of the time since the last sample, summed over engines; `None` for a process that has no card open.
    pub(super) busy_pct: Option<f64>,
    /// Since it was first seen.
    pub(super) busy_ns: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    /// The card that did most.
    pub(super) card: Option<String>,
}

/// The processes that have cards open.
#[derive(Default)]
pub(super) struct Clients {
    search_ns: i64,
    of: HashMap<i32, Opened>,
}

/// Clients by their card and number.
type Seen = BTreeMap<(String, u64), Client>;

/// What a process has open of cards.
#[derive(Default)]
struct Opened {
    descriptors: Vec<String>,
    /// When it was last read, and what each of its clients had done.
    last: Option<(i64, Seen)>,
    busy_ns: u64,
}

impl Clients {
    /// Looks for processes that opened a card, if it is time to and the machine has one.
    pub(super) fn search(&mut self, files: &ProcFiles, pids: &[i32]) {
        let now_ns = monotonic_ns();
        if now_ns < self.search_ns {
            return;
        }
        self.search_ns = now_ns + SEARCH_NS;
        if !files.root().join("dev/dri").is_dir() {
            return self.of.clear();
        }
        let mut before = std::mem::take(&mut self.of);
        for pid in pids {
            let descriptors = descriptors_of_cards(files, *pid);
            if !descriptors.is_empty() {
                let opened = before.remove(pid).unwrap_or_default();
                self.of.insert(*pid, Opened { descriptors, ..opened });
            }
        }
    }

    /// What cards have done for each of those since the last time.
    pub(super) fn read(&mut self, files: &mut ProcFiles, now_ns: i64) -> Vec<(i32, Work)> {
        self.of.iter_mut().map(|(pid, opened)| (*pid, opened.read(files, *pid, now_ns))).collect()
    }
}

impl Opened {
    fn read(&mut self, files: &mut ProcFiles, pid: i32, now_ns: i64) -> Work {
        let mut clients = Seen::new();
        for descriptor in &self.descriptors {
            let text = files.read(pid, &format!("fdinfo/{descriptor}"));
            if let Some(client) = text.and_then(|(text, _)| Client::parse(text)) {
                clients.insert((client.card.clone(), client.id), client);
            }
        }
        let mut cards: BTreeMap<&str, u64> = BTreeMap::new();
        let elapsed_ns = self.last.as_ref().map(|(then_ns, _)| now_ns - then_ns);
        if let Some((then_ns, before)) = &self.last {
            for (key, client) in &clients {
                // What a client did before it was first seen is not of this time.
                let Some(before) = before.get(key) else { continue };
                *cards.entry(&key.0).or_default() += worked_ns(client, before, now_ns - then_ns);
            }
        }
        let gained: u64 = cards.values().sum();
        self.busy_ns += gained;
        let most = cards.iter().max_by_key(|(_, ns)| **ns).map(|(card, _)| (*card).to_owned());
        let memory = clients.values().filter_map(|client| client.memory_bytes);
        let work = Work {
            busy_pct: elapsed_ns
                .filter(|ns| *ns > 0)
                .map(|elapsed_ns| 100.0 * gained as f64 / elapsed_ns as f64),
            busy_ns: Some(self.busy_ns),
            memory_bytes: memory.reduce(u64::saturating_add),
            card: most,
        };
        self.last = Some((now_ns, clients));
        work
    }
}

fn worked_ns(client: &Client, before: &Client, elapsed_ns: i64) -> u64 {
    let engines = client.engines.iter();
    let worked = engines
        .filter_map(|(name, engine)| Some(engine.worked_ns(before.engines.get(name)?, elapsed_ns)));
    worked.sum()
}

/// The descriptors by which a process has cards open; none where that may not be seen.
fn descriptors_of_cards(files: &ProcFiles, pid: i32) -> Vec<String> {
    let folder = files.root().join("proc").join(pid.to_string()).join("fd");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_card = entries.filter(|entry| {
        std::fs::read_link(entry.path()).is_ok_and(|path| path.starts_with("/dev/dri"))
    });
    of_card.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
