//! From raw rows to rows of `latency`, for any number of pairs of stages in one pass over the events.

use std::collections::HashMap;
use std::sync::Arc;

use bl_align::driver::{Driver, DriverOptions, EventColumns, Frame, KEYS};
use bl_align::pair::{Fate, PairedBy, Side, StageError};
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
use super::lag::{LagNote, MeterLag, meter_lag};
use super::power::{BoardPower, first_device};
use super::progress::{PairProgress, RULE, RawRows, Settled, Task};
use super::{Lag, LatencyError, arrow};

const COLUMNS: [&str; 6] = ["ts", "pipeline", "stage", KEYS[0], KEYS[1], KEYS[2]];

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
    let Some(table) = bl_schemas::table("pipeline").filter(|_| !tasks.is_empty()) else {
        return Ok(Vec::new());
    };
    // Both before the rows are read: what comes meanwhile is not taken for known.
    let raw = RawRows::of(session);
    let settled = match until {
        Until::Instant(before_ns) if raw.is_none() => Settled::count(session, before_ns)?,
        _ => Settled::default(),
    };
    let manifest = session.manifest();
    let power = match (&raw, manifest.anchor_estimated) {
        (None, false) => MorePower::After(manifest.anchor.now()),
        // An import that is under way has a clock of its own.
        (None, true) => MorePower::After(i64::MAX),
        (Some(_), _) => MorePower::Never,
    };
    let runs = tasks.iter().map(|task| Run::new(session, task, demand, power));
    let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
    let mut events = InOrder::open(session, table, &COLUMNS, (i64::MIN, i64::MAX))?;
    while let Some(batch) = events.next()? {
        if (demand.is_over)() {
            return Err(LatencyError::Stopped);
        }
        for (at, run) in runs.iter_mut().enumerate() {
            run.push(&batch).map_err(|source| unreadable(session, source))?;
            if run.driver.ready(PAIR) >= run.chunk_rows {
                let rows = run.take(until, power)?;
                run.chunk_rows = (run.chunk_rows * 2).min(demand.most_rows);
                emit_rows(session, run, &rows, |batch| emit(at, batch))?;
            }
        }
    }
    let mut ends = Vec::with_capacity(runs.len());
    for (at, mut run) in runs.into_iter().enumerate() {
        let rows = run.take_last(until, power)?;
        emit_rows(session, &run, &rows, |batch| emit(at, batch))?;
        let unkeyed = run.driver.counts(PAIR).unkeyed;
        ends.push(End { progress: run.progress(settled, raw.clone()), unkeyed });
    }
    Ok(ends)
}

fn unreadable(session: &Session, source: StageError) -> LatencyError {
    LatencyError::Events { session: session.id().to_string(), source }
}

/// Whether samples come that are not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MorePower {
    /// The session has ended.
    Never,
    /// It goes on, and this is its time.
    After(i64),
}

/// The one pair of stages that the driver of a run looks for.
const PAIR: usize = 0;

/// One pair of stages.
struct Run<'a> {
    task: Task,
    device: Option<String>,
    lag: LagNote,
    until_ns: i64,
    driver: Driver,
    /// None where no power is asked for, or there is no board.
    power: Option<BoardPower<'a>>,
    /// Finished frames that wait before they go out.
    chunk_rows: usize,
}

impl<'a> Run<'a> {
    fn new(
        session: &'a Session,
        task: &Task,
        demand: &Demand<'_>,
        power: MorePower,
    ) -> Result<Self, LatencyError> {
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
        let lag = match (known.map(|known| known.lag), &device) {
            (Some(lag), _) if lag != LagNote::NotSought => lag,
            (_, Some(device))
                if power == MorePower::Never
                    && demand.with_power
                    && task.method.lag == Lag::Apply =>
            {
                meter_lag(session, device)?
            }
            _ => LagNote::NotSought,
        };
        // Frames from before are in the files.
        let from_ns = known.map_or(i64::MIN, |known| known.until_ns);
        let options = DriverOptions {
            window_ns: task.method.window_ns,
            tolerance_ns: task.method.tolerance_ns,
            lag_ns: lag.found().map_or(0, |lag| lag.lag_ns),
            from_ns: from_ns.max(demand.from_ns),
            ..DriverOptions::default()
        };
        let stages = [(task.stage_a.as_str(), task.stage_b.as_str())];
        let mut driver =
            Driver::new(stages, options).map_err(|source| unreadable(session, source))?;
        let power = device.clone().filter(|_| demand.with_power);
        if power.is_none() {
            driver.finish_power();
        }
        Ok(Self {
            task: task.clone(),
            device,
            lag,
            until_ns: from_ns,
            driver,
            power: power.map(|device| BoardPower::of(session, device)),
            chunk_rows: demand.first_rows,
        })
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        let keys = KEYS.map(|name| {
            let column = batch[name].as_primitive::<Int64Type>();
            Some((column.values().as_ref(), column.nulls()))
        });
        self.driver.push_events(&EventColumns {
            ts_ns: stamps(batch),
            pipeline: Some(&batch["pipeline"]),
            stage: &batch["stage"],
            keys,
        })
    }

    /// Takes the frames that no event to come precedes, before the limit.
    fn take(&mut self, until: Until, power: MorePower) -> Result<Vec<Frame>, LatencyError> {
        let mut bound_ns = self.driver.settled_until_ns(PAIR);
        if let Until::Instant(before_ns) = until {
            bound_ns = bound_ns.min(before_ns);
        }
        self.until_ns = self.until_ns.max(bound_ns);
        self.take_before(self.until_ns, power)
    }

    /// Takes those that are left, after the last event.
    fn take_last(&mut self, until: Until, power: MorePower) -> Result<Vec<Frame>, LatencyError> {
        match (power, until) {
            (MorePower::Never, _) => self.driver.finish_events(),
            // Whatever is to come is not of that time.
            (MorePower::After(_), Until::Instant(before_ns)) => {
                self.driver.advance(before_ns);
                return self.take(until, power);
            }
            // A frame on its way holds up none of those that have ended: the page shows them, too.
            (MorePower::After(_), Until::Now) => self.driver.leave(),
        }
        self.take_before(i64::MAX, power)
    }

    fn take_before(&mut self, ns: i64, power: MorePower) -> Result<Vec<Frame>, LatencyError> {
        if let Some(samples) = &mut self.power {
            samples.feed(&mut self.driver)?;
            if samples.is_read() && power == MorePower::Never {
                self.driver.finish_power();
            }
        }
        let now_ns = match power {
            MorePower::Never => i64::MIN,
            MorePower::After(now_ns) => now_ns,
        };
        Ok(self.driver.take_before(PAIR, ns, now_ns).frames)
    }

    fn progress(self, settled: Settled, complete: Option<RawRows>) -> PairProgress {
        PairProgress {
            rule: RULE,
            settled,
            seen_a: self.driver.has_seen(PAIR, Side::A),
            seen_b: self.driver.has_seen(PAIR, Side::B),
            stage_a: self.task.stage_a,
            stage_b: self.task.stage_b,
            method: self.task.method,
            device: self.device,
            lag: self.lag,
            doubtful: self.task.done.as_ref().map(|known| known.doubtful).unwrap_or_default(),
            until_ns: if complete.is_some() { i64::MAX } else { self.until_ns },
            files: self.task.done.map(|known| known.files).unwrap_or_default(),
            complete,
        }
    }
}

/// Hands frames out as a batch at rest.
fn emit_rows(
    session: &Session,
    run: &Run<'_>,
    rows: &[Frame],
    emit: impl FnOnce(RecordBatch) -> Result<(), LatencyError>,
) -> Result<(), LatencyError> {
    let Some(table) = bl_schemas::table("latency").filter(|_| !rows.is_empty()) else {
        return Ok(());
    };
    let ts_ns: Vec<i64> = rows.iter().map(|row| row.pair.ts_ns).collect();
    let ts = TimestampNanosecondArray::from(ts_ns).with_timezone("UTC");
    let float = |of: fn(&Frame) -> Option<f64>| {
        Arc::new(rows.iter().map(of).collect::<Float64Array>()) as ArrayRef
    };
    let key = |at: usize| {
        Arc::new(rows.iter().map(|row| row.pair.carry[at]).collect::<Int64Array>()) as ArrayRef
    };
    let manifest = session.manifest();
    let same =
        |value: &str| dictionary(&[Some(value)], vec![0; rows.len()]).map_err(arrow(session));
    let source = if manifest.simulated { "sim.align" } else { "align" };
    let pipelines: Vec<Option<&str>> = run.driver.pipelines().collect();
    let of_pipeline = rows.iter().map(|row| row.pair.key.group as i32).collect();
    let found = |of: fn(&Frame) -> Option<usize>, names: &[Option<&str>]| {
        let nothing = names.len() - 1;
        let of = rows.iter().map(|row| of(row).unwrap_or(nothing) as i32).collect();
        dictionary(names, of).map_err(arrow(session))
    };
    let dropped: BooleanArray = rows.iter().map(Frame::dropped).collect();
    let err_ns: Int64Array = rows.iter().map(|row| row.power?.err_ns).collect();
    let mut columns: HashMap<&str, ArrayRef> = HashMap::from([
        ("ts", Arc::new(ts) as ArrayRef),
        ("session", same(session.id().as_str())?),
        ("node", same(&manifest.node)?),
        ("source", same(source)?),
        ("pipeline", dictionary(&pipelines, of_pipeline).map_err(arrow(session))?),
        ("stage_a", same(&run.task.stage_a)?),
        ("stage_b", same(&run.task.stage_b)?),
        ("frame", key(0)),
        ("key_ns", key(1)),
        ("latency_ms", float(|row| row.pair.latency_ns.map(|ns| ns as f64 / 1e6))),
        ("dropped", Arc::new(dropped)),
        ("paired_by", found(paired_by, &PAIRED_BY)?),
        ("confidence", float(|row| Some(f64::from(row.pair.confidence)))),
        ("reason", found(reason, &REASONS)?),
        ("power_w", float(Frame::power_w)),
        ("cpu_w", float(|row| reading(row.power?.cpu_w))),
        ("gpu_w", float(|row| reading(row.power?.gpu_w))),
        ("power_age_ms", float(|row| row.power_age_ns().map(|ns| ns as f64 / 1e6))),
        ("power_err_ns", Arc::new(err_ns)),
        ("energy_j", float(|row| row.energy_j)),
    ]);
    if let Some(MeterLag { lag_ns, err_ns }) = run.lag.found() {
        let same = |ns: i64| Arc::new(Float64Array::from_value(ns as f64 / 1e6, rows.len()));
        columns.insert("lag_ms", same(lag_ns));
        columns.insert("lag_err_ms", same(err_ns));
    }
    emit(batch(table, &mut columns, rows.len()).map_err(arrow(session))?)
}

/// Watts, where there is a reading.
fn reading(watts: f64) -> Option<f64> {
    Some(watts).filter(|watts| !watts.is_nan())
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
