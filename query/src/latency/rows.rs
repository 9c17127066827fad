//! From raw rows to rows of `latency`, for any number of pairs of stages in one pass over the events.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use bl_align::pair::{
    Fate, FrameKeys, KeyColumn, PairOptions, Paired, PairedBy, Pipelines, Side, StageEvents,
};
use bl_schemas::Table;
use bl_store::Session;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampNanosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::{Int32Type, Int64Type};
use datafusion::arrow::error::ArrowError;

use super::demand::Demand;
use super::events::{InOrder, stamps};
use super::power::{FramePower, ends, first_device, of_frames};
use super::progress::{PairProgress, RULE, RawRows, Settled, Task};
use super::{LatencyError, arrow};

const COLUMNS: [&str; 6] = ["ts", "pipeline", "stage", KEYS[0], KEYS[1], KEYS[2]];

/// What identifies a frame, best first.
const KEYS: [&str; 3] = ["frame", "key_ns", "pts_ns"];

/// Up to which instant frames are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// All that are known now. Frames on their way are left out while the session is recorded.
    Now,
    /// Those that entered `stage_a` before, where nothing to come changes them.
    Instant(i64),
}

/// How a task ended.
pub(crate) struct End {
    /// How far the pair is now. Its files are those that were there before.
    pub progress: PairProgress,
    /// Events left out, as they have not the key that the others of their pipeline are paired by.
    pub unkeyed: u64,
}

/// Computes the rows that tasks are open for, as far as they are demanded, at rest and each batch sorted by `ts`, then
/// by pipeline and frame; `emit` takes them with the number of the task.
///
/// All events are read from the first on: what a frame is told by depends on those before it. The rows that the
/// files have already are not told again.
pub(crate) fn compute(
    session: &Session,
    tasks: &[Task],
    until: Until,
    demand: &Demand<'_>,
    mut emit: impl FnMut(usize, RecordBatch) -> Result<(), LatencyError>,
) -> Result<Vec<End>, LatencyError> {
    let runs = tasks.iter().map(|task| Run::new(session, task, demand));
    let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
    let Some(table) = bl_schemas::table("pipeline").filter(|_| !runs.is_empty()) else {
        return Ok(Vec::new());
    };
    // Both before the rows are read: what comes meanwhile is not taken for known.
    let raw = RawRows::of(session);
    let settled = match until {
        Until::Instant(until_ns) if raw.is_none() => Settled::count(session, until_ns)?,
        _ => Settled::default(),
    };
    let mut events = InOrder::open(session, table, &COLUMNS, (i64::MIN, i64::MAX))?;
    while let Some(batch) = events.next()? {
        if (demand.is_over)() {
            return Err(LatencyError::Stopped);
        }
        for (at, run) in runs.iter_mut().enumerate() {
            run.push(&batch);
            if run.pairing.ready() >= run.chunk_rows {
                let rows = run.settled(until);
                run.chunk_rows = (run.chunk_rows * 2).min(demand.most_rows);
                emit_rows(session, run, rows, demand, |batch| emit(at, batch))?;
            }
        }
    }
    let mut ends = Vec::with_capacity(runs.len());
    for (at, mut run) in runs.into_iter().enumerate() {
        match (&raw, until) {
            (Some(_), _) => run.pairing.finish(),
            // Whatever is to come is not of that time.
            (None, Until::Instant(until_ns)) => run.pairing.advance(until_ns),
            // A frame on its way holds up none of those that have ended: the page shows them, too.
            (None, Until::Now) => run.pairing.leave(),
        }
        let rows = match (until, &raw) {
            (Until::Now, _) | (_, Some(_)) => run.all(),
            (Until::Instant(_), None) => run.settled(until),
        };
        emit_rows(session, &run, rows, demand, |batch| emit(at, batch))?;
        let unkeyed = run.pairing.counts().unkeyed;
        ends.push(End { progress: run.progress(settled, raw.clone()), unkeyed });
    }
    Ok(ends)
}

/// A frame with its keys, in the order of [`KEYS`].
type Frame = Paired<FrameKeys>;

/// One pair of stages.
struct Run {
    task: Task,
    device: Option<String>,
    /// Frames from before are in the files.
    from_ns: i64,
    until_ns: i64,
    pairing: Pipelines<FrameKeys>,
    /// Names of the pipelines, by their numbers.
    names: Vec<Option<String>>,
    /// Settled frames that are later than the limit.
    later: Vec<Frame>,
    /// Finished frames that wait before they go out.
    chunk_rows: usize,
}

impl Run {
    fn new(session: &Session, task: &Task, demand: &Demand<'_>) -> Result<Self, LatencyError> {
        if task.stage_a == task.stage_b {
            return Err(LatencyError::SameStage(task.stage_a.clone()));
        }
        let known = task.done.as_ref();
        let device = match known.and_then(|known| known.device.clone()) {
            Some(device) => Some(device),
            None => match &task.method.device {
                Some(device) => Some(device.clone()),
                None if demand.with_power => first_device(session)?,
                None => None,
            },
        };
        let from_ns = known.map_or(i64::MIN, |known| known.until_ns);
        let options = PairOptions { window_ns: task.method.window_ns, ..PairOptions::default() };
        Ok(Self {
            task: task.clone(),
            device,
            from_ns,
            until_ns: from_ns,
            pairing: Pipelines::new(options),
            names: Vec::new(),
            later: Vec::new(),
            chunk_rows: demand.first_rows,
        })
    }

    fn pipeline(&mut self, name: Option<&str>) -> u32 {
        let known = self.names.iter().position(|known| known.as_deref() == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.map(String::from));
            self.names.len() - 1
        });
        number as u32
    }

    fn push(&mut self, batch: &RecordBatch) {
        let (pipelines, stages) = (Names::of(&batch["pipeline"]), Names::of(&batch["stage"]));
        let sides = stages.map(|stage| match stage {
            Some(stage) if stage == self.task.stage_a => Some(Side::A),
            Some(stage) if stage == self.task.stage_b => Some(Side::B),
            _ => None,
        });
        let side = |row: usize| sides[stages.slot(row)];
        let mut numbers = pipelines.map(|_| None);
        let pipeline: Vec<u32> = (0..batch.num_rows())
            .map(|row| match side(row) {
                None => 0,
                Some(_) => {
                    let slot = pipelines.slot(row);
                    *numbers[slot].get_or_insert_with(|| self.pipeline(pipelines.name(slot)))
                }
            })
            .collect();
        let columns = KEYS.map(|name| batch[name].as_primitive::<Int64Type>());
        let keys: [KeyColumn<'_>; KEYS.len()] =
            columns.map(|column| (column.values().as_ref(), column.nulls()));
        let of_row = |row: usize| {
            let key = |at: usize| columns[at].is_valid(row).then(|| columns[at].value(row));
            [key(0), key(1), key(2), None]
        };
        let ts_ns = stamps(batch);
        let events = StageEvents { ts_ns, keys: &keys, pipeline: Some(&pipeline) };
        self.pairing.push_columns(&events, side, of_row);
    }

    /// Takes the frames that no event to come precedes, before the limit.
    fn settled(&mut self, until: Until) -> Vec<Frame> {
        let mut bound_ns = self.pairing.settled_until_ns();
        if let Until::Instant(until_ns) = until {
            bound_ns = bound_ns.min(until_ns);
        }
        self.until_ns = self.until_ns.max(bound_ns);
        let mut rows = std::mem::take(&mut self.later);
        rows.append(&mut self.pairing.take_settled());
        let due = rows.partition_point(|row| row.pair.ts_ns < self.until_ns);
        self.later = rows.split_off(due);
        self.new_in_order(rows)
    }

    /// Takes all frames that are finished.
    fn all(&mut self) -> Vec<Frame> {
        let mut rows = std::mem::take(&mut self.later);
        rows.append(&mut self.pairing.take());
        rows.sort_by_key(|row| row.pair.ts_ns);
        self.new_in_order(rows)
    }

    /// The rows, in order of time, that are not in the files, in the table's order: pipelines are numbered as they
    /// come, which is no order where they come at one instant.
    fn new_in_order(&self, mut rows: Vec<Frame>) -> Vec<Frame> {
        rows.drain(..rows.partition_point(|row| row.pair.ts_ns < self.from_ns));
        let name = |row: &Frame| &self.names[row.pair.key.group as usize];
        let in_table = |left: &Frame, right: &Frame| -> Ordering {
            let rest = |row: &Frame| (row.pair.carry, row.pair.latency_ns);
            left.pair
                .ts_ns
                .cmp(&right.pair.ts_ns)
                .then_with(|| name(left).cmp(name(right)))
                .then_with(|| rest(left).cmp(&rest(right)))
        };
        rows.sort_by(in_table);
        rows
    }

    fn progress(self, settled: Settled, complete: Option<RawRows>) -> PairProgress {
        PairProgress {
            rule: RULE,
            settled,
            seen_a: self.pairing.has_seen(Side::A),
            seen_b: self.pairing.has_seen(Side::B),
            stage_a: self.task.stage_a,
            stage_b: self.task.stage_b,
            method: self.task.method,
            device: self.device,
            doubtful: self.task.done.as_ref().map(|known| known.doubtful).unwrap_or_default(),
            until_ns: if complete.is_some() { i64::MAX } else { self.until_ns },
            files: self.task.done.map(|known| known.files).unwrap_or_default(),
            complete,
        }
    }
}

/// A dictionary column: a slot for each of its values, and the last one for null.
struct Names<'a> {
    keys: &'a Int32Array,
    values: &'a StringArray,
}

impl<'a> Names<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let column = column.as_dictionary::<Int32Type>();
        Self { keys: column.keys(), values: column.values().as_string() }
    }

    fn slot(&self, row: usize) -> usize {
        if self.keys.is_valid(row) { self.keys.value(row) as usize } else { self.values.len() }
    }

    fn name(&self, slot: usize) -> Option<&'a str> {
        (slot < self.values.len() && self.values.is_valid(slot)).then(|| self.values.value(slot))
    }

    fn map<T>(&self, of: impl FnMut(Option<&'a str>) -> T) -> Vec<T> {
        (0..=self.values.len()).map(|slot| self.name(slot)).map(of).collect()
    }
}

/// Hands frames out as a batch at rest.
fn emit_rows(
    session: &Session,
    run: &Run,
    mut rows: Vec<Frame>,
    demand: &Demand<'_>,
    emit: impl FnOnce(RecordBatch) -> Result<(), LatencyError>,
) -> Result<(), LatencyError> {
    rows.retain(|row| row.pair.ts_ns >= demand.from_ns);
    let Some(table) = bl_schemas::table("latency").filter(|_| !rows.is_empty()) else {
        return Ok(());
    };
    let from_ns: Vec<i64> = rows.iter().map(|row| row.pair.ts_ns).collect();
    let latency_ns: Int64Array = rows.iter().map(|row| row.pair.latency_ns).collect();
    let ends = ends(&from_ns, &latency_ns);
    let from_ns = Int64Array::from(from_ns);
    let device = run.device.as_deref();
    let power = match device {
        Some(device) if demand.with_power => {
            of_frames(session, &run.task.method, device, &from_ns, &ends)?
        }
        _ => FramePower::unknown(rows.len()),
    };
    let float = |values: Float64Array| Arc::new(values) as ArrayRef;
    let key = |at: usize| {
        Arc::new(rows.iter().map(|row| row.pair.carry[at]).collect::<Int64Array>()) as ArrayRef
    };
    let manifest = session.manifest();
    let same =
        |value: &str| dictionary(&[Some(value)], vec![0; rows.len()]).map_err(arrow(session));
    let source = if manifest.simulated { "sim.align" } else { "align" };
    let pipelines: Vec<Option<&str>> = run.names.iter().map(Option::as_deref).collect();
    let of_pipeline = rows.iter().map(|row| row.pair.key.group as i32).collect();
    let found = |of: fn(&Frame) -> Option<usize>, names: &[Option<&str>]| {
        let nothing = names.len() - 1;
        let of = rows.iter().map(|row| of(row).unwrap_or(nothing) as i32).collect();
        dictionary(names, of).map_err(arrow(session))
    };
    let latency_ms = latency_ns.iter().map(|ns| ns.map(|ns| ns as f64 / 1e6)).collect();
    let confidence = rows.iter().map(|row| Some(f64::from(row.pair.confidence))).collect();
    let mut columns: HashMap<&str, ArrayRef> = HashMap::from([
        (
            "ts",
            Arc::new(
                TimestampNanosecondArray::new(from_ns.values().clone(), None).with_timezone("UTC"),
            ) as ArrayRef,
        ),
        ("session", same(session.id().as_str())?),
        ("node", same(&manifest.node)?),
        ("source", same(source)?),
        ("pipeline", dictionary(&pipelines, of_pipeline).map_err(arrow(session))?),
        ("stage_a", same(&run.task.stage_a)?),
        ("stage_b", same(&run.task.stage_b)?),
        ("frame", key(0)),
        ("key_ns", key(1)),
        ("latency_ms", float(latency_ms)),
        ("dropped", Arc::new(rows.iter().map(dropped).collect::<BooleanArray>())),
        ("paired_by", found(paired_by, &PAIRED_BY)?),
        ("confidence", float(confidence)),
        ("reason", found(reason, &REASONS)?),
        ("power_w", power.power_w),
        ("cpu_w", power.cpu_w),
        ("gpu_w", power.gpu_w),
        ("power_age_ms", float(power.age_ms)),
        ("power_err_ns", power.err_ns),
        ("energy_j", float(power.energy_j)),
    ]);
    emit(batch(table, &mut columns, rows.len()).map_err(arrow(session))?)
}

/// Whether it never ended; `None` where nobody can tell.
fn dropped(row: &Frame) -> Option<bool> {
    match row.pair.fate() {
        Fate::Paired { .. } => Some(false),
        Fate::Dropped => Some(true),
        Fate::Ambiguous => None,
    }
}

/// What `paired_by` may be: the keys of [`KEYS`], the order, nothing.
const PAIRED_BY: [Option<&str>; 5] =
    [Some(KEYS[0]), Some(KEYS[1]), Some(KEYS[2]), Some("order"), None];

fn paired_by(row: &Frame) -> Option<usize> {
    row.by.map(|by| match by {
        PairedBy::Key(kind) => usize::from(kind),
        PairedBy::Order => KEYS.len(),
    })
}

/// What `reason` may be.
const REASONS: [Option<&str>; 3] = [Some("ambiguous_order"), Some("key_lost"), None];

fn reason(row: &Frame) -> Option<usize> {
    match (row.pair.fate(), row.by) {
        (Fate::Ambiguous, Some(PairedBy::Key(_))) => Some(1),
        (Fate::Ambiguous, _) => Some(0),
        _ => None,
    }
}

/// The columns in the table's order.
fn batch(
    table: &Table,
    columns: &mut HashMap<&str, ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let schema = table.schema();
    let in_order = schema.fields().iter().map(|field| {
        let column = columns.remove(field.name().as_str());
        column.unwrap_or_else(|| new_null_array(field.data_type(), rows))
    });
    RecordBatch::try_new(Arc::clone(&schema), in_order.collect())
}

/// A dictionary column; where the value is null, so is the row.
fn dictionary(values: &[Option<&str>], keys: Vec<i32>) -> Result<ArrayRef, ArrowError> {
    let keys = keys.into_iter().map(|key| values[key as usize].map(|_| key));
    let values: StringArray = values.iter().map(|v| Some(v.unwrap_or_default())).collect();
    let keys: Int32Array = keys.collect();
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
}
