//! A recording in memory.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use bl_ingest::Supervisor;
use bl_ingest::serial::{BoardScanner, BoardWatch};
use bl_ingest::source::{Context, Full, Reason, Sink, Source, SourceError, SourceStatus, Stop};
use bl_schemas::Table;
use bl_store::clock::Anchor;

/// Keeps every batch.
pub struct Memory {
    anchor: Anchor,
    batches: Mutex<Vec<(String, RecordBatch)>>,
}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self { anchor: Anchor::measure(), batches: Mutex::default() })
    }
}

/// A source whose thread does something else first.
struct First<S>(fn(), S);

impl<S: Source> Source for First<S> {
    fn name(&self) -> String {
        self.1.name()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        (self.0)();
        self.1.run(context)
    }
}

impl Sink for Memory {
    fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        self.batches.lock().unwrap().push((table.name.clone(), rows));
        Ok(())
    }

    /// It takes everything: there is none.
    fn count_loss(&self, source: &str, reason: Reason, count: u64, detail: &str) {
        panic!("{source} lost {count}: {reason}, {detail}");
    }

    fn anchor(&self) -> Anchor {
        self.anchor
    }
}

/// A recording of one source, run again whenever it asks for it.
pub struct Recording {
    pub memory: Arc<Memory>,
    pub context: Context,
    pub devices: Arc<Mutex<Vec<serde_json::Value>>>,
    pub stop: Stop,
    thread: Option<JoinHandle<Result<u32, SourceError>>>,
}

impl Recording {
    pub fn start(source: impl Source + 'static) -> Self {
        Self::into(Memory::new(), Stop::new().unwrap(), source)
    }

    /// A recording of every board that `scanner` finds; the scanner's own thread takes `first` before all else.
    pub fn of_boards(scanner: BoardScanner, first: fn()) -> (Self, Supervisor) {
        let (memory, stop) = (Memory::new(), Stop::new().unwrap());
        let supervisor = Supervisor::new(Arc::clone(&memory) as Arc<dyn Sink>, stop.clone());
        let watch = First(first, BoardWatch::new(scanner, supervisor.clone()));
        (Self::into(memory, stop, watch), supervisor)
    }

    fn into(memory: Arc<Memory>, stop: Stop, mut source: impl Source + 'static) -> Self {
        let devices = Arc::<Mutex<Vec<serde_json::Value>>>::default();
        let status = Arc::new(SourceStatus::new(source.name()));
        let context =
            Context::new(memory.clone(), stop.clone(), status).with_devices(devices.clone());
        let own = context.clone();
        let thread = std::thread::Builder::new()
            .name("recording".into())
            .spawn(move || {
                let mut retries = 0;
                loop {
                    match source.run(&own) {
                        Ok(()) => return Ok(retries),
                        Err(SourceError::Retry(_)) => retries += 1,
                        Err(e) => return Err(e),
                    }
                    own.stop().sleep_ns(source.back_off().0.as_nanos() as i64);
                }
            })
            .unwrap();
        Self { memory, context, devices, stop, thread: Some(thread) }
    }

    /// Stops; returns how often the source was run again.
    pub fn stop(&mut self) -> Result<u32, SourceError> {
        self.stop.stop();
        self.thread.take().unwrap().join().unwrap()
    }

    /// Whether the source has ended by itself.
    pub fn ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub fn table(&self, name: &str) -> RecordBatch {
        let table = bl_schemas::table(name).unwrap();
        let batches = self.memory.batches.lock().unwrap();
        let of_table: Vec<&RecordBatch> =
            batches.iter().filter(|(t, _)| t == name).map(|(_, b)| b).collect();
        concat(table, &of_table)
    }

    pub fn rows(&self, name: &str) -> usize {
        let batches = self.memory.batches.lock().unwrap();
        batches.iter().filter(|(t, _)| t == name).map(|(_, b)| b.num_rows()).sum()
    }

    pub fn await_rows(&self, name: &str, count: usize) {
        await_true(&format!("{count} rows of {name}"), || self.rows(name) >= count);
    }

    /// The sentences of a reason in `health`.
    pub fn details(&self, reason: &str) -> Vec<String> {
        let health = self.table("health");
        let [reasons, details] = ["reason", "detail"]
            .map(|name| health.column_by_name(name).unwrap().as_string::<i32>());
        let of_it = (0..health.num_rows()).filter(|i| reasons.value(*i) == reason);
        of_it.map(|i| details.value(i).to_owned()).collect()
    }

    /// How often each reason is counted in `health`.
    pub fn health(&self, reason: &str) -> i64 {
        let health = self.table("health");
        let reasons = health.column_by_name("reason").unwrap().as_string::<i32>();
        let counts = health.column_by_name("count").unwrap().as_primitive::<Int64Type>();
        (0..health.num_rows())
            .filter(|i| reasons.value(*i) == reason)
            .map(|i| counts.value(i))
            .sum()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

pub fn await_true(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn concat(table: &'static Table, batches: &[&RecordBatch]) -> RecordBatch {
    let schema = table.row_schema();
    let columns = (0..schema.fields().len())
        .map(|i| {
            let arrays: Vec<&dyn Array> = batches.iter().map(|b| b.column(i).as_ref()).collect();
            if arrays.is_empty() {
                arrow_array::new_empty_array(schema.field(i).data_type())
            } else {
                arrow_select::concat::concat(&arrays).unwrap()
            }
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

pub fn decimal(batch: &RecordBatch, column: &str, row: usize) -> Option<i32> {
    let values = batch.column_by_name(column).unwrap().as_primitive::<Decimal32Type>();
    values.is_valid(row).then(|| values.value(row))
}

pub fn i64_at(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let values = batch.column_by_name(column).unwrap().as_primitive::<Int64Type>();
    values.is_valid(row).then(|| values.value(row))
}

pub fn ts_at(batch: &RecordBatch, row: usize) -> i64 {
    batch.column(0).as_primitive::<TimestampNanosecondType>().value(row)
}
