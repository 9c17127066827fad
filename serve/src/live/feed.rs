//! What clients ask the follower for.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bl_store::Store;
use bl_store::clock::{Anchor, realtime_ns};
use serde_json::Value;
use tokio::sync::broadcast;

use super::aligner::StagePair;
use super::catalog::{Catalog, Entry};
use super::log::{Log, Message};
use super::status::{Exporter, StoreState, status_json};
use super::tail::Tail;
use super::window::{Draft, Window};

/// Messages that a slow client may be behind before it has lagged.
const BEHIND: usize = 1024;

/// A step of a flow: marks of this name begin and end it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name that its marks carry.
    pub name: String,
    /// The latency that counts as met, milliseconds.
    pub target_ms: Option<f64>,
}

/// What is followed, and how.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// The store.
    pub store: Store,
    /// Pairs of stages, for sessions that do not say what they were recorded for.
    pub pairs: Vec<StagePair>,
    /// The longest time between two stages, nanoseconds.
    pub window_ns: i64,
    /// Steps of the flow.
    pub steps: Vec<Step>,
    /// Name of this host.
    pub node: String,
    /// Version of this program.
    pub version: String,
}

/// Why the follower could not start.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The system has no thread left.
    #[error("no thread for the live follower: {0}")]
    Thread(#[from] std::io::Error),
    /// The pairs of stages make no sense.
    #[error(transparent)]
    Pairs(#[from] bl_align::pair::StageError),
}

/// What the feed knows, behind one lock that is held for moments only.
pub struct Now {
    /// The sessions of the store.
    pub catalog: Catalog,
    /// The session that is shown as live, also for a while after its end.
    pub window: Option<Window>,
    /// What was sent.
    pub log: Log,
    pub(super) store: StoreState,
    exporters: Vec<Exporter>,
}

/// What the handles and the thread share.
pub(super) struct Shared {
    pub options: FeedOptions,
    started_ns: i64,
    now: Mutex<Now>,
    sender: broadcast::Sender<Arc<Message>>,
    pub stop: AtomicBool,
    /// Open streams.
    clients: AtomicU64,
    web_asked_ns: AtomicI64,
    prometheus_asked_ns: AtomicI64,
}

/// A handle to the follower; it ends with the last one.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
    _thread: Arc<Thread>,
}

struct Thread(Arc<Shared>, Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            thread.thread().unpark();
            // A panic there has been reported on standard error.
            let _ = thread.join();
        }
    }
}

impl Feed {
    /// Starts to follow. The first look at the store is done before it returns.
    ///
    /// # Errors
    /// When there is no thread left, or the pairs make no sense.
    pub fn start(options: FeedOptions) -> Result<Self, FeedError> {
        super::aligner::Aligner::new(&options.pairs, options.window_ns, 0)?;
        let catalog = Catalog::new(options.store.clone(), options.pairs.clone());
        let (sender, _) = broadcast::channel(BEHIND);
        let shared = Arc::new(Shared {
            started_ns: realtime_ns(),
            now: Mutex::new(Now {
                catalog,
                window: None,
                log: Log::default(),
                store: StoreState::default(),
                exporters: Vec::new(),
            }),
            sender,
            stop: AtomicBool::new(false),
            clients: AtomicU64::new(0),
            web_asked_ns: AtomicI64::new(0),
            prometheus_asked_ns: AtomicI64::new(0),
            options,
        });
        let mut tail = Tail::new(Arc::clone(&shared));
        tail.poll();
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || tail.run())?;
        let thread = Arc::new(Thread(Arc::clone(&shared), Some(thread)));
        Ok(Self { shared, _thread: thread })
    }

    /// What is known now. The follower waits while this is held: copy, then write.
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.shared.now()
    }

    /// How it was started.
    pub fn options(&self) -> &FeedOptions {
        &self.shared.options
    }

    /// The text of a message's number: opaque to clients, and of no use after a restart.
    pub fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.shared.started_ns)
    }

    /// The number of an id that this process gave; `None` for any other text.
    pub fn number(&self, id: &str) -> Option<u64> {
        let (start, number) = id.split_once('-')?;
        (start == format!("{:x}", self.shared.started_ns)).then(|| number.parse().ok())?
    }

    /// The messages from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Message>> {
        self.shared.sender.subscribe()
    }

    /// The shape **status**.
    pub fn status(&self, now: &Now) -> Value {
        self.shared.status(now)
    }

    /// Why the store cannot be read, if it cannot.
    pub fn trouble(&self) -> Option<String> {
        let root = self.shared.options.store.data_root();
        match std::fs::read_dir(root) {
            Ok(_) => self.now().store.error.clone(),
            Err(e) => Some(format!("{} cannot be read: {e}", root.display())),
        }
    }

    /// Counts one more stream, until the guard is dropped.
    pub fn count_client(&self) -> ClientGuard {
        self.shared.clients.fetch_add(1, Ordering::Relaxed);
        ClientGuard(Arc::clone(&self.shared))
    }

    /// Streams that are open.
    pub fn clients(&self) -> u64 {
        self.shared.clients.load(Ordering::Relaxed)
    }

    /// Tells that the web view was asked.
    pub fn note_web(&self) {
        self.shared.web_asked_ns.store(realtime_ns(), Ordering::Relaxed);
    }

    /// Tells that the metrics were asked for.
    pub fn note_prometheus(&self) {
        self.shared.prometheus_asked_ns.store(realtime_ns(), Ordering::Relaxed);
    }

    /// Tells where the exporters of this process listen, for **status**.
    pub fn set_addresses(&self, web: Option<String>, prometheus: Option<String>) {
        let exporter = |name, address| Exporter { name, address, clients: None, last_ns: None };
        self.now().exporters = vec![exporter("web", web), exporter("prometheus", prometheus)];
    }
}

/// An open stream.
pub struct ClientGuard(Arc<Shared>);

impl Drop for ClientGuard {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Now {
    /// Now on the timeline of the session that is shown, else of this host.
    pub fn time_ns(&self) -> i64 {
        self.window.as_ref().map_or_else(realtime_ns, |w| clock_of(&w.entry))
    }
}

/// Now on the session's timeline. One of another boot has a clock that has ended: then this host's.
pub(super) fn clock_of(entry: &Entry) -> i64 {
    let m = entry.session.manifest();
    let is_of_this_boot = m.boot_id.is_some() && m.boot_id == bl_store::boot_id();
    if is_of_this_boot { m.anchor.now() } else { Anchor::measure().now() }
}

impl Shared {
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

    pub fn send(&self, now: &mut Now, drafts: impl IntoIterator<Item = Draft>) {
        for (event, pair, data) in drafts {
            // Nobody listening is no fault.
            let _ = self.sender.send(now.log.push(event, pair, data));
        }
    }
}
