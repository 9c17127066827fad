//! What the handles of the follower and its thread share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bl_store::clock::realtime_ns;
use serde_json::Value;
use tokio::sync::broadcast;

use super::catalog::Catalog;
use super::log::{Draft, Message};
use super::now::Now;
use super::options::FeedOptions;
use super::status::status_json;

/// Messages that a slow client may be behind before it has lagged.
const BEHIND: usize = 1024;

/// What is known, who is told of it, and who asks.
pub(super) struct Shared {
    pub options: FeedOptions,
    /// When this follower started, nanoseconds UTC.
    pub started_ns: i64,
    now: Mutex<Now>,
    sender: broadcast::Sender<Arc<Message>>,
    pub stop: AtomicBool,
    /// Open streams.
    pub clients: AtomicU64,
    pub web_asked_ns: AtomicI64,
    pub prometheus_asked_ns: AtomicI64,
}

impl Shared {
    pub fn new(options: FeedOptions) -> Self {
        let catalog = Catalog::new(options.store.clone(), options.pairs.clone());
        Self {
            started_ns: realtime_ns(),
            now: Mutex::new(Now::new(catalog)),
            sender: broadcast::channel(BEHIND).0,
            stop: AtomicBool::new(false),
            clients: AtomicU64::new(0),
            web_asked_ns: AtomicI64::new(0),
            prometheus_asked_ns: AtomicI64::new(0),
            options,
        }
    }

    /// What is known now. Whoever else wants to know waits meanwhile.
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Message>> {
        self.sender.subscribe()
    }

    /// The shape **status**.
    pub fn status(&self, now: &Now) -> Value {
        let asked = |at: &AtomicI64| Some(at.load(Ordering::Relaxed)).filter(|ns| *ns > 0);
        let mut exporters = now.exporters.clone();
        for exporter in &mut exporters {
            match exporter.name {
                "web" => {
                    exporter.clients = Some(self.clients.load(Ordering::Relaxed));
                    exporter.last_ns = asked(&self.web_asked_ns);
                }
                _ => exporter.last_ns = asked(&self.prometheus_asked_ns),
            }
        }
        let (window, at) = (now.window.as_ref(), now.time_ns());
        status_json(&self.options, self.started_ns, at, window, &now.store, &exporters)
    }

    /// Numbers messages, keeps them in the log and sends them to whoever listens.
    pub fn send(&self, now: &mut Now, drafts: impl IntoIterator<Item = Draft>) {
        for (event, pair, data) in drafts {
            // Nobody listening is no fault.
            let _ = self.sender.send(now.log.push(event, pair, data));
        }
    }
}
