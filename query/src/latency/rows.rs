//! From raw rows to rows of `latency`, for any number of pairs of stages in one pass over the events.

use std::collections::HashMap;
use std::sync::Arc;

use bl_align::pair::{FirstKeys, FrameKeys, Pair, PairOptions, PipelinePairer, Side};
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
use super::progress::{PairProgress, PipelineProgress, RawRows, Taken, Task};
use super::{LatencyError, arrow};

const COLUMNS: [&str; 6] = ["ts", "pipeline", "stage", "frame", "key_ns", "pts_ns"];

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

/// Computes the rows that tasks are open for, as far as they are demanded, at rest and each batch sorted by `ts`;
/// `emit` takes them with the number of the task.
pub(crate) fn compute(
    session: &Session,
    tasks: &[Task],
    until: Until,
    demand: &Demand<'_>,
    mut emit: impl FnMut(usize, RecordBatch) -> Result<(), LatencyError>,
) -> Result<Vec<End>, LatencyError> {
    let runs = tasks.iter().map(|task| Run::new(session, task, demand));
    let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
    let from_ns = runs.iter().map(Run::needs_from_ns).min().unwrap_or(i64::MAX);
    let Some(table) = bl_schemas::table("pipeline") else { return Ok(Vec::new()) };
    let mut events = InOrder::open(session, table, &COLUMNS, (from_ns, i64::MAX))?;
    while let Some(batch) = events.next()? {
        if (demand.is_over)() {
            return Err(LatencyError::Stopped);
        }
        for (at, run) in runs.iter_mut().enumerate() {
            run.push(&batch);
            if run.done.len() >= run.chunk_rows {
                let rows = run.settled(until);
                run.chunk_rows = (run.chunk_rows * 2).min(demand.most_rows);
                emit_rows(session, run, rows, demand, |batch| emit(at, batch))?;
            }
        }
    }
    let raw = RawRows::of(session);
    let mut ends = Vec::with_capacity(runs.len());
    for (at, mut run) in runs.into_iter().enumerate() {
        if raw.is_some() {
            run.pairings.iter_mut().for_each(|(_, pairing)| pairing.finish());
            run.watermark_ns = i64::MAX;
        }
        run.collect();
        let rows = match (until, &raw) {
            (Until::Now, _) | (_, Some(_)) => std::mem::take(&mut run.done),
            (Until::Instant(_), None) => run.settled(until),
        };
        emit_rows(session, &run, rows, demand, |batch| emit(at, batch))?;
        let unkeyed = run.pairings.iter().map(|(_, pairing)| pairing.counts().unkeyed).sum();
        ends.push(End { progress: run.progress(raw.clone()), unkeyed });
    }
    Ok(ends)
}

/// A frame with its keys: frame number, running time, presentation time stamp.
type Frame = Pair<FrameKeys>;

/// One pair of stages.
struct Run {
    task: Task,
    device: Option<String>,
    from_ns: i64,
    watermark_ns: i64,
    pairings: Vec<(Option<String>, PipelinePairer<FrameKeys>)>,
    /// How often a `stage_b` event is taken by frames from before, by pipeline, instant and key.
    taken: HashMap<(usize, i64, i64), usize>,
    /// Frames with the number of their pipeline, in order of time.
    done: Vec<(usize, Frame)>,
    /// Ends of frames that went out, as far as they may lie behind the next start.
    reaching: Vec<(usize, Frame)>,
    until_ns: i64,
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
        let mut run = Self {
            task: task.clone(),
            device,
            from_ns,
            watermark_ns: from_ns,
            pairings: Vec::new(),
            taken: HashMap::new(),
            done: Vec::new(),
            reaching: Vec::new(),
            until_ns: from_ns,
            chunk_rows: demand.first_rows,
        };
        for pipeline in known.map_or(&[][..], |known| &known.pipelines) {
            run.add_pipeline(pipeline.name.clone(), (&pipeline.first).into());
        }
        for taken in known.map_or(&[][..], |known| &known.taken) {
            let pipeline = run.pipeline(taken.pipeline.as_deref());
            *run.taken.entry((pipeline, taken.ts_ns, taken.id)).or_default() += 1;
        }
        Ok(run)
    }

    /// The first event that it has to see: the very first one where pairs depend on all before.
    fn needs_from_ns(&self) -> i64 {
        let keyless = self.pairings.iter().any(|(_, pairing)| pairing.is_keyless());
        if keyless { i64::MIN } else { self.from_ns }
    }

    fn pipeline(&mut self, name: Option<&str>) -> usize {
        let known = self.pairings.iter().position(|(known, _)| known.as_deref() == name);
        known.unwrap_or_else(|| self.add_pipeline(name.map(String::from), FirstKeys::default()))
    }

    fn add_pipeline(&mut self, name: Option<String>, first: FirstKeys) -> usize {
        let options =
            PairOptions { window_ns: self.task.method.window_ns, ..PairOptions::default() };
        self.pairings.push((name, PipelinePairer::new(options, first)));
        self.pairings.len() - 1
    }

    fn push(&mut self, batch: &RecordBatch) {
        let ts = stamps(batch);
        let (pipelines, stages) = (Names::of(&batch["pipeline"]), Names::of(&batch["stage"]));
        let numbers =
            ["frame", "key_ns", "pts_ns"].map(|name| batch[name].as_primitive::<Int64Type>());
        let number =
            |at: usize, row: usize| numbers[at].is_valid(row).then(|| numbers[at].value(row));
        let sides = stages.map(|stage| match stage {
            Some(stage) if stage == self.task.stage_a => Some(Side::A),
            Some(stage) if stage == self.task.stage_b => Some(Side::B),
            _ => None,
        });
        let mut groups = pipelines.map(|_| None);
        for (row, &ts_ns) in ts.iter().enumerate() {
            let Some(side) = sides[stages.slot(row)] else { continue };
            let slot = pipelines.slot(row);
            let group = *groups[slot].get_or_insert_with(|| self.pipeline(pipelines.name(slot)));
            let keys = [number(0, row), number(1, row), number(2, row), None];
            self.event(group, ts_ns, side, keys);
        }
        self.watermark_ns = ts.last().copied().unwrap_or(i64::MIN).max(self.watermark_ns);
        for (_, pairing) in &mut self.pairings {
            pairing.advance(self.watermark_ns);
        }
        self.collect();
    }

    fn event(&mut self, group: usize, ts_ns: i64, side: Side, keys: FrameKeys) {
        let pairing = &mut self.pairings[group].1;
        if !pairing.is_keyless() {
            if ts_ns < self.from_ns {
                return;
            }
            if let (Side::B, Some(id)) = (side, pairing.id(&keys))
                && let Some(left) = self.taken.get_mut(&(group, ts_ns, id))
                && *left > 0
            {
                *left -= 1;
                return;
            }
        }
        pairing.push(ts_ns, side, keys, keys);
    }

    /// Takes what is finished out of the pairings.
    fn collect(&mut self) {
        for (group, (_, pairing)) in self.pairings.iter_mut().enumerate() {
            let done = pairing.take().into_iter().filter(|done| done.ts_ns >= self.from_ns);
            self.done.extend(done.map(|done| (group, done)));
        }
        self.done.sort_by_key(|(group, done)| (done.ts_ns, *group));
    }

    /// Takes the frames that no event to come precedes, before the limit.
    fn settled(&mut self, until: Until) -> Vec<(usize, Frame)> {
        let open = self.pairings.iter().map(|(_, pairing)| pairing.settled_until_ns()).min();
        let mut bound_ns = open.unwrap_or(self.watermark_ns);
        if let Until::Instant(until_ns) = until {
            bound_ns = bound_ns.min(until_ns);
        }
        self.until_ns = self.until_ns.max(bound_ns);
        let due = self.done.partition_point(|(_, done)| done.ts_ns < self.until_ns);
        let later = self.done.split_off(due);
        let rows = std::mem::replace(&mut self.done, later);
        let until_ns = self.until_ns;
        self.reaching.extend(rows.iter().copied());
        self.reaching.retain(|(_, done)| end_ns(done).is_some_and(|end_ns| end_ns >= until_ns));
        rows
    }

    fn progress(self, complete: Option<RawRows>) -> PairProgress {
        let taken = self.reaching.iter().filter(|_| complete.is_none());
        let taken = taken.filter_map(|(group, done)| {
            let pipeline = self.pairings[*group].0.clone();
            Some(Taken { pipeline, id: done.key.id, ts_ns: end_ns(done)? })
        });
        // Frames from before that reach behind the new start are still to be known.
        let still = self.task.done.iter().flat_map(|known| known.taken.iter());
        let still = still.filter(|taken| complete.is_none() && taken.ts_ns >= self.until_ns);
        PairProgress {
            taken: still.cloned().chain(taken).collect(),
            stage_a: self.task.stage_a,
            stage_b: self.task.stage_b,
            method: self.task.method,
            device: self.device,
            until_ns: if complete.is_some() { i64::MAX } else { self.until_ns },
            files: self.task.done.map(|known| known.files).unwrap_or_default(),
            pipelines: self
                .pairings
                .into_iter()
                .map(|(name, pairing)| PipelineProgress { name, first: pairing.first().into() })
                .collect(),
            complete,
        }
    }
}

fn end_ns(done: &Frame) -> Option<i64> {
    done.latency_ns.map(|latency_ns| done.ts_ns.saturating_add(latency_ns))
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
    mut rows: Vec<(usize, Frame)>,
    demand: &Demand<'_>,
    emit: impl FnOnce(RecordBatch) -> Result<(), LatencyError>,
) -> Result<(), LatencyError> {
    rows.retain(|(_, done)| done.ts_ns >= demand.from_ns);
    let Some(table) = bl_schemas::table("latency").filter(|_| !rows.is_empty()) else {
        return Ok(());
    };
    let from_ns: Vec<i64> = rows.iter().map(|(_, done)| done.ts_ns).collect();
    let latency_ns: Int64Array = rows.iter().map(|(_, done)| done.latency_ns).collect();
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
        Arc::new(rows.iter().map(|(_, done)| done.carry[at]).collect::<Int64Array>()) as ArrayRef
    };
    let manifest = session.manifest();
    let same =
        |value: &str| dictionary(&[Some(value)], vec![0; rows.len()]).map_err(arrow(session));
    let source = if manifest.simulated { "sim.align" } else { "align" };
    let pipelines: Vec<Option<&str>> =
        run.pairings.iter().map(|(name, _)| name.as_deref()).collect();
    let of_pipeline = rows.iter().map(|(group, _)| *group as i32).collect();
    let latency_ms = latency_ns.iter().map(|ns| ns.map(|ns| ns as f64 / 1e6)).collect();
    let dropped: BooleanArray = rows.iter().map(|(_, d)| Some(d.latency_ns.is_none())).collect();
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
        ("dropped", Arc::new(dropped)),
        ("power_w", power.power_w),
        ("cpu_w", power.cpu_w),
        ("gpu_w", power.gpu_w),
        ("power_age_ms", float(power.age_ms)),
        ("power_err_ns", power.err_ns),
        ("energy_j", float(power.energy_j)),
    ]);
    emit(batch(table, &mut columns, rows.len()).map_err(arrow(session))?)
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
