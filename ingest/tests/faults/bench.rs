//! A recording with a witness.

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use bl_ingest::alert::Rule;
use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::Model;
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector};
use bl_ingest::source::{SourceState, SourceStatus, Stop};
use bl_ingest::{Context, Recording, Source, SourceError, Summary};
use bl_store::{SessionSpec, Store, WriteOptions};

/// What the witness is called.
const WITNESS: &str = "witness";

/// A recording in a store on disk.
pub struct Bench {
    recording: Recording,
    _stops: StopAtEnd,
    store: Store,
    _witness: VirtualBoard,
    _folder: tempfile::TempDir,
}

/// Stops the sources of a test that fails, whose boards go away with it: their ports are given to others.
struct StopAtEnd(Stop);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A row of `health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub source: String,
    pub reason: String,
    pub detail: String,
}

impl Bench {
    /// Begins to record these sources, and beside them a virtual board that is in order.
    pub fn start(sources: Vec<Box<dyn Source>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let spec = SessionSpec {
            id: Some("faults".parse().unwrap()),
            node: "here".into(),
            ..SessionSpec::default()
        };
        let options =
            WriteOptions { flush_every: Duration::from_millis(10), ..WriteOptions::default() };
        let stop = Stop::new().unwrap();
        let recording = Recording::begin(&store, spec, options, stop.clone()).unwrap();
        let board = VirtualBoard::start(BoardOptions::new(Model::Benchlab2, 99)).unwrap();
        recording.start(named(WITNESS, Box::new(board_source(&board)))).unwrap();
        for source in sources {
            recording.start(source).unwrap();
        }
        let bench =
            Self { recording, _stops: StopAtEnd(stop), store, _witness: board, _folder: folder };
        bench.assert_goes_on();
        bench
    }

    fn status(&self, source: &str) -> std::sync::Arc<SourceStatus> {
        let statuses = self.recording.statuses();
        statuses.into_iter().find(|s| s.name == source).unwrap_or_else(|| panic!("no {source}"))
    }

    /// Rows that a source has delivered.
    pub fn rows(&self, source: &str) -> u64 {
        self.status(source).rows()
    }

    pub fn state(&self, source: &str) -> SourceState {
        self.status(source).state().0
    }

    /// The witness delivers, now.
    pub fn assert_goes_on(&self) {
        let before = self.rows(WITNESS);
        wait_for("the witness to go on", || self.rows(WITNESS) >= before + 10);
    }

    /// Judges what is recorded by these rules.
    pub fn start_alerts(&self, rules: Vec<Rule>) {
        self.recording.start_alerts(rules).unwrap();
    }

    /// The rows of a table that are in the store.
    pub fn table(&self, name: &str) -> Vec<RecordBatch> {
        let table = bl_schemas::table(name).unwrap();
        let session = self.store.session(&"faults".parse().unwrap()).unwrap();
        session.snapshot(table).unwrap().open
    }

    /// How many rows of a source have a value in that column.
    pub fn known(&self, table: &str, column: &str, source: &str) -> usize {
        let of = |batch: &RecordBatch| {
            let sources = texts(batch, "source");
            let known = |i: &usize| sources[*i] == source && batch[column].is_valid(*i);
            (0..batch.num_rows()).filter(known).count()
        };
        self.table(table).iter().map(of).sum()
    }

    /// What `health` says of a source, without what it says when all is well.
    pub fn told(&self, source: &str) -> Vec<Told> {
        let mut told = Vec::new();
        for batch in self.table("health") {
            let columns = ["source", "reason", "detail"].map(|name| texts(&batch, name));
            let [sources, reasons, details] = columns.map(Vec::into_iter);
            let rows = sources.zip(reasons).zip(details);
            told.extend(rows.map(|((source, reason), detail)| Told { source, reason, detail }));
        }
        told.retain(|row| row.source == source && !["up", "late"].contains(&row.reason.as_str()));
        told
    }

    /// The sentences of a reason that `health` has of a source.
    pub fn details(&self, source: &str, reason: &str) -> Vec<String> {
        let told = self.told(source).into_iter();
        told.filter(|row| row.reason == reason).map(|row| row.detail).collect()
    }

    /// Waits until `health` has a row of that source and reason whose sentence contains `words`.
    pub fn await_told(&self, source: &str, reason: &str, words: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.details(source, reason).iter().any(|detail| detail.contains(words)) {
            let told = self.told(source);
            assert!(Instant::now() < until, "no {reason} of {source} with {words:?}: {told:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a source has delivered more rows than `before`.
    pub fn await_rows(&self, source: &str, before: u64) {
        wait_for(&format!("rows of {source}"), || self.rows(source) > before);
    }

    /// Ends the recording, which no source may hold up. The witness is not among those that are left behind.
    pub fn finish(self) -> Summary {
        let began = Instant::now();
        let summary = self.recording.finish().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(!summary.hung.contains(&WITNESS.to_owned()), "{:?}", summary.hung);
        assert!(summary.manifest.rows["benchlab"] >= 10);
        summary
    }
}

/// A column of text, which the store may keep as a dictionary.
fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = &batch[column];
    match column.as_any_dictionary_opt() {
        Some(dictionary) => {
            let values = dictionary.values().as_string::<i32>();
            let keys = dictionary.normalized_keys().into_iter();
            keys.map(|key| values.value(key).to_owned()).collect()
        }
        None => {
            let values = column.as_string::<i32>();
            (0..values.len()).map(|i| values.value(i).to_owned()).collect()
        }
    }
}

/// Twice what the slowest look for devices takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < until, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The source that records a virtual board at its port.
pub fn board_source(board: &VirtualBoard) -> BenchlabSource {
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    BenchlabSource::new(Selector::Path(board.path().unwrap()), roster, 100.0)
}

/// A source by another name, to tell two of one kind apart.
pub fn named(name: &'static str, source: Box<dyn Source>) -> Box<dyn Source> {
    Box::new(Worn { name, source, is_nobody: false })
}

/// The same, on a thread whose file-system user is nobody: root reads whatever it likes. Anyone else is refused by the
/// mode of a file anyway.
pub fn as_nobody(name: &'static str, source: Box<dyn Source>) -> Box<dyn Source> {
    Box::new(Worn { name, source, is_nobody: true })
}

/// Makes this thread, and no other of the process, one that files and sockets take for a stranger's, for good.
pub fn become_nobody() {
    const NOBODY: u32 = 65_534;
    // SAFETY: these take numbers and no memory; the system call itself, unlike libc's function, is for one thread.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>());
        libc::setfsgid(NOBODY);
        libc::setfsuid(NOBODY);
    }
}

/// A source with something put on.
struct Worn {
    name: &'static str,
    source: Box<dyn Source>,
    is_nobody: bool,
}

impl Source for Worn {
    fn name(&self) -> String {
        self.name.into()
    }

    fn back_off(&self) -> (Duration, Duration) {
        self.source.back_off()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        if self.is_nobody {
            become_nobody();
        }
        self.source.run(context)
    }
}
