//! The pairing behind [`super::kernel::PairOn`].

use std::collections::VecDeque;
use std::sync::Arc;

use bl_align::pair::{PairCounts, sides};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions,
};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::compute::{cast, interleave};
use datafusion::arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit, UInt64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::kernel::PairOn;
use super::node::KeyRule;
use super::pairing::{Batch, Frames, OwnedKeys, Pairing};
use crate::columns::{Keys, nanoseconds};
use crate::operator::Output;

/// Starts the pairing. `columns` are those put out, counted over the input's and the two added.
pub(super) fn pair(
    input: SendableRecordBatchStream,
    on: &PairOn,
    output: Output<'_>,
) -> Result<SendableRecordBatchStream> {
    let Output { columns, schema, partition, context, metrics } = output;
    let input_schema = input.schema();
    let width = input_schema.fields().len();
    let is = |expr: &Arc<dyn PhysicalExpr>, column: usize| {
        expr.downcast_ref::<Column>().is_some_and(|expr| expr.index() == column)
    };
    let mut event_columns = Vec::new();
    let places = columns.iter().map(|&column| match column {
        _ if column == width => Place::Latency,
        _ if column > width => Place::Dropped,
        _ if is(&on.ts, column) => Place::Time,
        _ if on.what.key == KeyRule::Given && is(&on.keys[0], column) => Place::Key,
        _ => {
            event_columns.push(column);
            Place::Event(event_columns.len() - 1)
        }
    });
    let places = places.collect();
    let groups = if on.groups.is_empty() {
        None
    } else {
        let types = on.groups.iter().map(|expr| expr.data_type(&input_schema));
        Some(Keys::try_new(types.collect::<Result<_>>()?)?)
    };
    let pairs = Pairs {
        input,
        on: on.clone(),
        groups,
        places,
        event_columns,
        pairing: Pairing::new(&on.what),
        held: VecDeque::new(),
        rows: 0,
        batch_rows: context.session_config().batch_size(),
        schema: Arc::clone(&schema),
        reservation: MemoryConsumer::new("PairExec").register(context.memory_pool()),
        metrics: BaselineMetrics::new(metrics, partition),
        counters: Counters::new(metrics, partition),
        is_done: false,
    };
    let batches = futures::stream::try_unfold(pairs, |mut pairs| async move {
        let batch = pairs.next().await?;
        Ok(batch.map(|batch| (batch, pairs)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
}

/// Where an output column comes from.
#[derive(Debug, Clone, Copy)]
enum Place {
    Time,
    Key,
    Latency,
    Dropped,
    /// A further column of the `stage_a` event, by its number among those that are held.
    Event(usize),
}

/// What became of the events, as metrics of the operator.
struct Counters {
    paired: Count,
    dropped: Count,
    orphans: Count,
    unkeyed: Count,
}

impl Counters {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Counters {
            paired: counter("paired"),
            dropped: counter("dropped"),
            orphans: counter("orphans"),
            unkeyed: counter("unkeyed"),
        }
    }

    fn set(&self, counts: PairCounts) {
        self.paired.add(counts.paired as usize);
        self.dropped.add(counts.dropped as usize);
        self.orphans.add(counts.orphans as usize);
        self.unkeyed.add(counts.unkeyed as usize);
    }
}

struct Pairs {
    input: SendableRecordBatchStream,
    on: PairOn,
    groups: Option<Keys>,
    places: Vec<Place>,
    event_columns: Vec<usize>,
    pairing: Pairing,
    /// Input batches with `event_columns`, each with the number of its first row.
    held: VecDeque<(u64, RecordBatch)>,
    rows: u64,
    batch_rows: usize,
    schema: SchemaRef,
    reservation: MemoryReservation,
    metrics: BaselineMetrics,
    counters: Counters,
    is_done: bool,
}

impl Pairs {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.is_done {
            match self.input.next().await {
                Some(batch) => {
                    let elapsed = self.metrics.elapsed_compute().clone();
                    let _timer = elapsed.timer();
                    self.accept(&batch?)?;
                }
                None => {
                    self.pairing.finish();
                    self.counters.set(self.pairing.counts());
                    self.is_done = true;
                }
            }
            if self.pairing.ready() >= self.batch_rows || (self.is_done && self.pairing.ready() > 0)
            {
                let elapsed = self.metrics.elapsed_compute().clone();
                let _timer = elapsed.timer();
                let batch = self.put()?;
                self.metrics.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn accept(&mut self, batch: &RecordBatch) -> Result<()> {
        let (ts_ns, valid) = nanoseconds(&self.on.ts, batch)?;
        if valid.is_some() {
            return exec_err!(
                "an event without a time cannot be paired: leave out rows where {} is null",
                self.on.ts
            );
        }
        let stage = self.on.stage.evaluate(batch)?.into_array(batch.num_rows())?;
        let sides = sides(&stage, &self.on.what.stage_a, &self.on.what.stage_b)
            .map_err(|e| exec_datafusion_err!("{e}"))?;
        let keys = self.on.keys.iter().map(|key| -> Result<OwnedKeys> {
            id(&key.evaluate(batch)?.into_array(batch.num_rows())?)
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let group = match &mut self.groups {
            None => None,
            Some(groups) => Some(groups.group(&self.on.groups, batch)?),
        };
        let first = self.rows;
        self.pairing.push(&Batch {
            ts_ns: &ts_ns,
            sides: &sides,
            keys: &keys,
            group: group.as_deref(),
            first,
        });
        self.rows += batch.num_rows() as u64;
        if !self.event_columns.is_empty() {
            self.held.push_back((first, batch.project(&self.event_columns)?));
            let bytes = self.held.iter().map(|(_, held)| held.get_array_memory_size()).sum();
            self.reservation.try_resize(bytes)?;
        }
        Ok(())
    }

    /// The rows that are ready, as a batch.
    fn put(&mut self) -> Result<RecordBatch> {
        let Frames { ts_ns, id, latency_ns, row } = self.pairing.take();
        let rows = ts_ns.len();
        let (ts_ns, id): (ArrayRef, ArrayRef) = (Arc::new(ts_ns), Arc::new(id));
        let events = self.events(&row)?;
        let columns = self.places.iter().zip(self.schema.fields()).map(|(place, field)| {
            Ok(match *place {
                Place::Time => from_nanoseconds(&ts_ns, field.data_type())?,
                Place::Key => from_id(&id, field.data_type())?,
                Place::Latency => Arc::new(latency_ns.clone()) as ArrayRef,
                Place::Dropped => {
                    let dropped = match latency_ns.nulls() {
                        Some(paired) => !paired.inner(),
                        None => datafusion::arrow::buffer::BooleanBuffer::new_unset(rows),
                    };
                    Arc::new(BooleanArray::new(dropped, None))
                }
                Place::Event(column) => Arc::clone(&events[column]),
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The held columns of the events with these numbers, which ascend; forgets batches before them.
    fn events(&mut self, numbers: &[u64]) -> Result<Vec<ArrayRef>> {
        if self.event_columns.is_empty() {
            return Ok(Vec::new());
        }
        let mut at = 0;
        let mut indices = Vec::with_capacity(numbers.len());
        for &number in numbers {
            while self.held.get(at + 1).is_some_and(|(first, _)| *first <= number) {
                at += 1;
            }
            indices.push((at, (number - self.held[at].0) as usize));
        }
        let columns = (0..self.event_columns.len()).map(|column| {
            let arrays: Vec<&dyn Array> =
                self.held.iter().map(|(_, held)| held.column(column).as_ref()).collect();
            Ok(interleave(&arrays, &indices)?)
        });
        let columns = columns.collect::<Result<_>>()?;
        self.held.drain(..at);
        Ok(columns)
    }
}

/// A key column as ids; an unsigned number by its bits.
fn id(key: &ArrayRef) -> Result<OwnedKeys> {
    let nulls = key.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let values = match key.data_type() {
        DataType::UInt64 => {
            let values = key.as_primitive::<UInt64Type>().values();
            ScalarBuffer::new(values.inner().clone(), 0, values.len())
        }
        _ => cast(key, &DataType::Int64)?.as_primitive::<Int64Type>().values().clone(),
    };
    Ok((values, nulls))
}

fn from_id(id: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if *to == DataType::UInt64 {
        let values = id.as_primitive::<Int64Type>().values();
        let values = ScalarBuffer::<u64>::new(values.inner().clone(), 0, values.len());
        return Ok(Arc::new(datafusion::arrow::array::UInt64Array::new(values, None)));
    }
    Ok(cast(id, to)?)
}

fn from_nanoseconds(ts_ns: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    match to {
        DataType::Timestamp(_, zone) => {
            let stamp = cast(ts_ns, &DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))?;
            Ok(cast(&stamp, to)?)
        }
        _ => Ok(cast(ts_ns, to)?),
    }
}
