//! The merge behind [`super::kernel::AsOfOn`].

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bl_align::as_of::{AsOf, LeftRows, UNMATCHED};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
    new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, ScalarBuffer};
use datafusion::arrow::compute::{BatchCoalescer, filter, filter_record_batch, interleave, take};
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::kernel::AsOfOn;
use crate::columns::{Keys, usable};
use crate::operator::Output;
use crate::stamp::nanoseconds;

/// Pieces shorter than this are gathered from several right batches at once instead of cut apart.
const SHORT_PIECE_ROWS: usize = 64;

/// Starts the merge. `columns` are those put out, counted over the left and then the right columns.
pub(super) fn merge(
    left: SendableRecordBatchStream,
    right: SendableRecordBatchStream,
    on: &AsOfOn,
    output: Output<'_>,
) -> Result<SendableRecordBatchStream> {
    let Output { columns, schema, partition, context, metrics } = output;
    let keys = if on.keys.is_empty() {
        None
    } else {
        let left_schema = left.schema();
        let types = on.keys.iter().map(|(expr, _)| expr.data_type(&left_schema));
        Some(Keys::try_new(types.collect::<Result<_>>()?)?)
    };
    let width = left.schema().fields().len();
    let right_columns: Vec<usize> =
        columns.iter().filter(|column| **column >= width).map(|column| column - width).collect();
    let batch_rows = context.session_config().batch_size();
    let merge = Merge {
        right_schema: Arc::new(right.schema().project(&right_columns)?),
        left,
        right,
        matcher: AsOf::new(on.side, on.tolerance),
        stamps: on.stamps.clone(),
        key_exprs: on.keys.iter().cloned().unzip(),
        keys,
        left_columns: columns.iter().filter(|column| **column < width).copied().collect(),
        right_columns,
        places: places(columns, width),
        held: VecDeque::new(),
        pending: None,
        matches: Vec::new(),
        output: BatchCoalescer::new(Arc::clone(&schema), batch_rows)
            .with_biggest_coalesce_batch_size(Some(batch_rows / 4)),
        schema: Arc::clone(&schema),
        reservation: MemoryConsumer::new("AsOfJoinExec").register(context.memory_pool()),
        metrics: BaselineMetrics::new(metrics, partition),
        is_done: false,
    };
    let batches = futures::stream::try_unfold(merge, |mut merge| async move {
        let batch = merge.next().await?;
        Ok(batch.map(|batch| (batch, merge)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
}

/// Where each output column comes from.
#[derive(Debug, Clone, Copy)]
enum Place {
    Left(usize),
    Right(usize),
}

fn places(columns: &[usize], width: usize) -> Vec<Place> {
    let (mut left, mut right) = (0, 0);
    columns
        .iter()
        .map(|column| {
            if *column < width {
                left += 1;
                Place::Left(left - 1)
            } else {
                right += 1;
                Place::Right(right - 1)
            }
        })
        .collect()
}

/// A right batch, reduced to the columns that are put out, and the number of its first row.
struct Held {
    first_row: u64,
    batch: RecordBatch,
}

impl Held {
    fn rows(&self) -> Range<u64> {
        self.first_row..self.first_row + self.batch.num_rows() as u64
    }
}

/// A left batch that is being resolved.
struct Pending {
    batch: RecordBatch,
    ts: ScalarBuffer<i64>,
    valid: Option<NullBuffer>,
    keys: Option<Vec<u32>>,
    resolved: usize,
}

type Exprs = Vec<Arc<dyn PhysicalExpr>>;

struct Merge {
    left: SendableRecordBatchStream,
    right: SendableRecordBatchStream,
    matcher: AsOf,
    stamps: (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    key_exprs: (Exprs, Exprs),
    keys: Option<Keys>,
    left_columns: Vec<usize>,
    right_columns: Vec<usize>,
    right_schema: Arc<Schema>,
    places: Vec<Place>,
    held: VecDeque<Held>,
    pending: Option<Pending>,
    matches: Vec<u64>,
    output: BatchCoalescer,
    schema: SchemaRef,
    reservation: MemoryReservation,
    metrics: BaselineMetrics,
    is_done: bool,
}

impl Merge {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.output.next_completed_batch() {
                self.metrics.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            if self.is_done {
                return Ok(None);
            }
            match self.pending.take() {
                None => match self.left.next().await {
                    Some(batch) => self.accept_left(batch?)?,
                    None => {
                        self.is_done = true;
                        self.output.finish_buffered_batch()?;
                    }
                },
                Some(pending) => {
                    if self.resolve(pending)? {
                        match self.right.next().await {
                            Some(batch) => self.accept_right(batch?)?,
                            None => self.matcher.finish_right(),
                        }
                    }
                }
            }
        }
    }

    fn accept_left(&mut self, batch: RecordBatch) -> Result<()> {
        let elapsed = self.metrics.elapsed_compute().clone();
        let _timer = elapsed.timer();
        let (ts, valid) = nanoseconds(&self.stamps.0, &batch)?;
        let keys =
            self.keys.as_mut().map(|keys| keys.number(&self.key_exprs.0, &batch)).transpose()?;
        let batch = batch.project(&self.left_columns)?;
        self.pending = Some(Pending { batch, ts, valid, keys, resolved: 0 });
        Ok(())
    }

    fn accept_right(&mut self, batch: RecordBatch) -> Result<()> {
        let elapsed = self.metrics.elapsed_compute().clone();
        let _timer = elapsed.timer();
        let (mut ts, valid) = nanoseconds(&self.stamps.1, &batch)?;
        let mut keys =
            self.keys.as_mut().map(|keys| keys.number(&self.key_exprs.1, &batch)).transpose()?;
        let mut batch = batch.project(&self.right_columns)?;
        // A row without a stamp or a key is never matched.
        if let Some(usable) = usable(valid.as_ref(), keys.as_deref()) {
            let kept = filter(&Int64Array::new(ts, None), &usable)?;
            ts = kept.as_primitive::<Int64Type>().values().clone();
            let mut is_usable = usable.values().iter();
            if let Some(keys) = &mut keys {
                keys.retain(|_| is_usable.next().unwrap_or(false));
            }
            batch = filter_record_batch(&batch, &usable)?;
        }
        let first_row = self.matcher.right_rows();
        self.matcher.push_right(&ts, keys.as_deref()).map_err(unsorted)?;
        if self.keys.is_some() {
            // A key whose last row is older than the tolerance must not hold the batch that the row is in.
            self.matcher.forget();
        }
        let matcher = &self.matcher;
        self.held.retain(|held| matcher.needs(held.rows()));
        self.held.push_back(Held { first_row, batch });
        let bytes = self.held.iter().map(|held| held.batch.get_array_memory_size()).sum();
        self.reservation.try_resize(bytes)
    }

    /// Resolves what can be resolved of the left batch; true when it needs more right rows.
    fn resolve(&mut self, mut pending: Pending) -> Result<bool> {
        let elapsed = self.metrics.elapsed_compute().clone();
        let timer = elapsed.timer();
        let from = pending.resolved;
        self.matches.clear();
        let valid = pending.valid.as_ref().map(|valid| valid.slice(from, valid.len() - from));
        let rows = LeftRows {
            ts: &pending.ts[from..],
            valid: valid.as_ref(),
            keys: pending.keys.as_deref().map(|keys| &keys[from..]),
        };
        let resolved = self.matcher.resolve(rows, &mut self.matches).map_err(unsorted)?;
        self.emit(&pending.batch.slice(from, resolved))?;
        pending.resolved += resolved;
        let needs_more = pending.resolved < pending.ts.len();
        timer.done();
        if needs_more {
            self.pending = Some(pending);
        }
        Ok(needs_more)
    }

    /// Puts out left rows with what `matches` says of them.
    fn emit(&mut self, left: &RecordBatch) -> Result<()> {
        let pieces = self.pieces();
        if pieces.len() > 1 && left.num_rows() / pieces.len() < SHORT_PIECE_ROWS {
            let right = self.gather(&pieces)?;
            return self.put(left, right);
        }
        for (rows, held) in pieces {
            let right = match held {
                None => (self.right_schema.fields().iter())
                    .map(|field| new_null_array(field.data_type(), rows.len()))
                    .collect(),
                Some(held) => {
                    let held = &self.held[held];
                    let indices = indices(&self.matches[rows.clone()], held.first_row);
                    (held.batch.columns().iter())
                        .map(|column| take(column, &indices, None))
                        .collect::<Result<Vec<ArrayRef>, _>>()?
                }
            };
            self.put(&left.slice(rows.start, rows.len()), right)?;
        }
        Ok(())
    }

    /// Cuts the resolved rows where the held batch changes from which they take.
    fn pieces(&self) -> Vec<(Range<usize>, Option<usize>)> {
        let mut pieces: Vec<(Range<usize>, Option<usize>)> = Vec::new();
        let mut range = 0..0;
        for (i, &row) in self.matches.iter().enumerate() {
            if row == UNMATCHED || range.contains(&row) {
                match pieces.last_mut() {
                    Some((rows, _)) => rows.end = i + 1,
                    None => pieces.push((0..i + 1, None)),
                }
                continue;
            }
            let held = self.held.partition_point(|held| held.first_row <= row) - 1;
            range = self.held[held].rows();
            match pieces.last_mut() {
                // So far all rows were unmatched: they go with any batch.
                Some((rows, unset @ None)) => (rows.end, *unset) = (i + 1, Some(held)),
                _ => pieces.push((i..i + 1, Some(held))),
            }
        }
        pieces
    }

    /// The right columns of rows that take from many batches in turn.
    fn gather(&self, pieces: &[(Range<usize>, Option<usize>)]) -> Result<Vec<ArrayRef>> {
        let nulls = self.held.len();
        let mut indices = Vec::with_capacity(self.matches.len());
        for (rows, held) in pieces {
            for &row in &self.matches[rows.clone()] {
                indices.push(match held {
                    Some(held) if row != UNMATCHED => {
                        (*held, (row - self.held[*held].first_row) as usize)
                    }
                    _ => (nulls, 0),
                });
            }
        }
        let columns = self.right_schema.fields().iter().enumerate().map(|(i, field)| {
            let null = new_null_array(field.data_type(), 1);
            let held = self.held.iter().map(|held| held.batch.column(i).as_ref());
            let arrays: Vec<&dyn Array> = held.chain([null.as_ref()]).collect();
            Ok(interleave(&arrays, &indices)?)
        });
        columns.collect()
    }

    fn put(&mut self, left: &RecordBatch, right: Vec<ArrayRef>) -> Result<()> {
        let columns = self.places.iter().map(|place| match *place {
            Place::Left(i) => Arc::clone(left.column(i)),
            Place::Right(i) => Arc::clone(&right[i]),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options)?;
        Ok(self.output.push_batch(batch)?)
    }
}

/// Row numbers as indices into the batch that begins with `first_row`.
fn indices(matches: &[u64], first_row: u64) -> UInt32Array {
    let indices = matches.iter().map(|row| row.wrapping_sub(first_row) as u32).collect::<Vec<_>>();
    let nulls = matches
        .contains(&UNMATCHED)
        .then(|| NullBuffer::from_iter(matches.iter().map(|row| *row != UNMATCHED)));
    UInt32Array::new(indices.into(), nulls)
}

fn unsorted(error: bl_align::as_of::AsOfError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
