//! What clients ask the follower for.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;

use bl_store::clock::realtime_ns;
use serde_json::Value;
use tokio::sync::broadcast;

use super::aligner::Aligner;
use super::driver::Driver;
use super::log::Message;
use super::now::Now;
use super::options::FeedOptions;
use super::shared::Shared;
use super::status::Exporter;

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
        Aligner::new(&options.pairs, options.window_ns, 0)?;
        let shared = Arc::new(Shared::new(options));
        let mut driver = Driver::new(Arc::clone(&shared));
        driver.poll();
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || driver.run())?;
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
        self.shared.subscribe()
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
