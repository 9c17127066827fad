//! The pairing behind [`super::kernel::PairOn`].

use std::collections::VecDeque;
use std::sync::Arc;

use bl_align::pair::{PairCounts, sides};
use datafusion::arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{cast, interleave};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
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

use super::frames::Frames;
use super::kernel::PairOn;
use super::keys::{FrameKeys, from_id, is_number};
use super::node::KeyRule;
use super::pairing::{Batch, Pairing};
use crate::columns::Keys;
use crate::operator::Output;
use crate::stamp::{nanoseconds, unit_ns};

/// Starts the pairing. `columns` are those put out, counted over the input's and those added.
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
    let key_types = on.keys.iter().map(|key| key.data_type(&input_schema));
    let key_types = key_types.collect::<Result<Vec<_>>>()?;
    // A value that is no number is not told by its id: it comes out with the event.
    let key_is_id = on.what.key == KeyRule::Given && key_types.first().is_some_and(is_number);
    let mut event_columns = Vec::new();
    let places = columns.iter().map(|&column| match column {
        _ if column == width => Place::Latency,
        _ if column == width + 1 => Place::Dropped,
        _ if column == width + 2 => Place::PairedBy,
        _ if column > width => Place::Confidence,
        _ if is(&on.ts, column) => Place::Time,
        _ if key_is_id && is(&on.keys[0], column) => Place::Key,
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
        keys: FrameKeys::try_new(&on.keys, &key_types, on.what.window_ns)?,
        groups,
        places,
        event_columns,
        pairing: Pairing::new(&on.what),
        held: VecDeque::new(),
        rows: 0,
        put_at: context.session_config().batch_size(),
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
    PairedBy,
    Confidence,
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
    keys: FrameKeys,
    groups: Option<Keys>,
    places: Vec<Place>,
    event_columns: Vec<usize>,
    pairing: Pairing,
    /// Input batches with `event_columns`, each with the number of its first row.
    held: VecDeque<(u64, RecordBatch)>,
    rows: u64,
    /// So many finished frames are looked at: those that were seen to wait for others count for nothing.
    put_at: usize,
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
            if self.pairing.ready() >= self.put_at || (self.is_done && self.pairing.ready() > 0) {
                let elapsed = self.metrics.elapsed_compute().clone();
                let _timer = elapsed.timer();
                let frames = self.pairing.take();
                self.put_at = self.pairing.ready() + self.batch_rows;
                if frames.len() == 0 {
                    continue;
                }
                let batch = self.put(&frames)?;
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
        let keys = self.keys.of(batch, &ts_ns)?;
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
        }
        let held: usize = self.held.iter().map(|(_, held)| held.get_array_memory_size()).sum();
        self.reservation.try_resize(held + self.keys.bytes())
    }

    /// Finished frames as a batch.
    fn put(&mut self, frames: &Frames) -> Result<RecordBatch> {
        let events = self.events(&frames.rows())?;
        let columns = self.places.iter().zip(self.schema.fields()).map(|(place, field)| {
            Ok(match *place {
                Place::Time => from_nanoseconds(&frames.ts_ns(), field.data_type())?,
                Place::Key => from_id(&frames.id(), field.data_type())?,
                Place::Latency => Arc::new(frames.latency_ns()) as ArrayRef,
                Place::Dropped => Arc::new(frames.dropped()),
                Place::PairedBy => frames.paired_by(&self.on.what.key_names)?,
                Place::Confidence => Arc::new(frames.confidence()),
                Place::Event(column) => Arc::clone(&events[column]),
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(frames.len()));
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

/// Stamps as they came: nanoseconds that were made of another unit are whole numbers of it.
fn from_nanoseconds(ts_ns: &Int64Array, to: &DataType) -> Result<ArrayRef> {
    let counts = match unit_ns(to) {
        None | Some(1) => ts_ns.clone(),
        Some(unit) => ts_ns.unary(|ns| ns / unit),
    };
    let counts: ArrayRef = Arc::new(counts);
    // There is no cast from 64 bits to types of 32 that are no numbers.
    let counts = match to {
        DataType::Date32 | DataType::Time32(_) => cast(&counts, &DataType::Int32)?,
        _ => counts,
    };
    Ok(cast(&counts, to)?)
}
