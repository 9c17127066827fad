//! The thread that follows the store, and what clients ask it for.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bl_store::clock::{Anchor, realtime_ns};
use bl_store::{Follower, Store};
use serde_json::Value;
use tokio::sync::broadcast;

use super::aligner::StagePair;
use super::catalog::{Catalog, Entry};
use super::log::{Log, Message};
use super::status::{Exporter, StoreState, status_json};
use super::window::{Draft, KEPT_NS, Window};

/// The store is looked at this often.
const POLL: Duration = Duration::from_millis(100);
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
    store: StoreState,
    exporters: Vec<Exporter>,
}

struct Shared {
    options: FeedOptions,
    started_ns: i64,
    now: Mutex<Now>,
    sender: broadcast::Sender<Arc<Message>>,
    stop: AtomicBool,
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
fn clock_of(entry: &Entry) -> i64 {
    let m = entry.session.manifest();
    let is_of_this_boot = m.boot_id.is_some() && m.boot_id == bl_store::boot_id();
    if is_of_this_boot { m.anchor.now() } else { Anchor::measure().now() }
}

impl Shared {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self, now: &Now) -> Value {
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

    fn send(&self, now: &mut Now, drafts: impl IntoIterator<Item = Draft>) {
        for (event, pair, data) in drafts {
            // Nobody listening is no fault.
            let _ = self.sender.send(now.log.push(event, pair, data));
        }
    }
}

/// What the thread has besides.
struct Tail {
    shared: Arc<Shared>,
    followers: Vec<Follower>,
    polls: u64,
    last_bytes: (Instant, u64),
}

impl Tail {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, followers: Vec::new(), polls: 0, last_bytes: (Instant::now(), 0) }
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let next = Instant::now() + POLL;
            self.poll();
            // Unparked at the end; woken early otherwise, it only looks early.
            std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
    }

    /// One look at the store.
    fn poll(&mut self) {
        let shared = Arc::clone(&self.shared);
        let is_second = self.polls.is_multiple_of(10);
        if is_second {
            self.look_for_sessions();
        }
        // Files are read before the lock is taken: nobody waits for the disk.
        let (rows, error) = self.read();
        let mut now = shared.now();
        now.store.open_bytes = self.followers.iter().map(Follower::open_bytes).sum();
        let at = now.time_ns();
        let with_channels = self.polls.is_multiple_of(5);
        let mut error = error;
        if let Some(window) = &mut now.window {
            error = push(window, &rows, at).or(error);
            let drafts = window.news(at, with_channels);
            if is_second {
                window.trim(at);
            }
            shared.send(&mut now, drafts);
        }
        if error.is_some() {
            now.store.error = error;
        }
        if is_second {
            self.note_bytes(&mut now);
            let status = shared.status(&now).to_string();
            shared.send(&mut now, [("status", None, status)]);
        }
        self.polls += 1;
    }

    fn note_bytes(&mut self, now: &mut Now) {
        let (at, before) =
            std::mem::replace(&mut self.last_bytes, (Instant::now(), now.store.open_bytes));
        // A seal makes them fewer: then the rate of before holds.
        if let Some(grown) = now.store.open_bytes.checked_sub(before) {
            now.store.bytes_per_s = grown as f64 / at.elapsed().as_secs_f64().max(0.001);
        }
        if self.polls.is_multiple_of(50)
            && let Some(window) = &mut now.window
        {
            window.bytes = window.entry.bytes();
        }
    }

    /// Reads what is new, and what went wrong.
    fn read(&mut self) -> (Vec<NewRows>, Option<String>) {
        let (mut rows, mut error) = (Vec::new(), None);
        for follower in &mut self.followers {
            let table = follower.table();
            match follower.poll() {
                Ok(batches) => rows.extend(batches.into_iter().map(|batch| (table, batch))),
                Err(e) => error = Some(e.to_string()),
            }
        }
        (rows, error)
    }

    /// Notices sessions that begin, change and end.
    fn look_for_sessions(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut now = shared.now();
        now.store.error = now.catalog.refresh().err().map(|e| e.to_string());
        now.store.sessions = now.catalog.len();
        let live = now.catalog.live().cloned();
        let shown = now.window.as_ref().map(|w| w.entry.session.id().clone());
        match live {
            Some(entry) if shown.as_ref() != Some(entry.session.id()) => {
                let pairs = now.catalog.pairs_for(&entry.session);
                drop(now);
                self.begin(entry, &pairs);
            }
            _ => self.go_on(&mut now),
        }
    }

    fn begin(&mut self, entry: Entry, pairs: &[StagePair]) {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let (at, started_ns) = (clock_of(&entry), entry.session.manifest().started_ns);
        let followers = followed_tables().map(|table| {
            // Few rows, and wanted whole: losses, marks.
            let whole = ["health", "marks"].contains(&table.name.as_str());
            let from_ns = if whole { i64::MIN } else { (at - KEPT_NS).max(started_ns - KEPT_NS) };
            Follower::new(&entry.session, table, from_ns)
        });
        self.followers = followers.collect();
        let made = Window::new(entry, pairs, options.window_ns, options.steps.clone());
        let (rows, mut error) = self.read();
        let window = made.map(|mut window| {
            error = push(&mut window, &rows, at).or(error.take());
            window.settle(at);
            window
        });
        let mut now = shared.now();
        now.log.cut();
        let session = match window {
            Ok(window) => {
                let session = window.session_json(at).to_string();
                now.window = Some(window);
                session
            }
            Err(e) => {
                self.followers.clear();
                error = Some(e.to_string());
                "null".into()
            }
        };
        if error.is_some() {
            now.store.error = error;
        }
        let reset = ("reset", None, "{}".to_string());
        shared.send(&mut now, [reset, ("session", None, session)]);
    }

    /// The shown session goes on, has ended, or is long over.
    fn go_on(&mut self, now: &mut Now) {
        let at = now.time_ns();
        let Some(window) = &mut now.window else { return };
        let id = window.entry.session.id().as_str().to_string();
        let Some(entry) = now.catalog.get(&id).cloned() else {
            // Deleted.
            return self.forget(now);
        };
        let had_ended = !window.entry.is_live;
        let changed = entry.is_live != window.entry.is_live
            || entry.session.manifest() != window.entry.session.manifest();
        window.entry = entry;
        if had_ended
            && window.entry.session.manifest().ended_ns.is_none_or(|end| at - end > KEPT_NS)
        {
            return self.forget(now);
        }
        if changed {
            self.followers.iter_mut().for_each(Follower::look_again);
            let session = window.session_json(at).to_string();
            self.shared.send(now, [("session", None, session)]);
        }
    }

    fn forget(&mut self, now: &mut Now) {
        now.window = None;
        self.followers.clear();
        self.shared.send(now, [("session", None, "null".to_string())]);
    }
}

/// Rows of a table, fresh from the store.
type NewRows = (&'static bl_schemas::Table, RecordBatch);

/// Hands rows to the window. Returns what went wrong.
fn push(window: &mut Window, rows: &[NewRows], at_ns: i64) -> Option<String> {
    let mut error = None;
    for (table, batch) in rows {
        if let Err(e) = window.push(table, batch, at_ns) {
            error = Some(e.to_string());
        }
    }
    error
}

/// The tables that are followed; power before events, so that pairs find theirs.
fn followed_tables() -> impl Iterator<Item = &'static bl_schemas::Table> {
    let first = bl_schemas::table("benchlab");
    let others = bl_schemas::tables()
        .iter()
        .filter(|t| !t.aligned && !["benchlab", "frames", "clock"].contains(&t.name.as_str()));
    first.into_iter().chain(others)
}
