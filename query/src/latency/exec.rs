//! The rows of `latency` that are not aligned yet, as a leaf of a physical plan.

use std::fmt;
use std::sync::Arc;

use bl_store::Session;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use tokio::sync::mpsc::Sender;

use super::LatencyError;
use super::demand::Demand;
use super::events::stamps;
use super::progress::Task;
use super::rows::{Until, compute};
use crate::sorted::ASCENDING;
use crate::tables::to_sql;

/// Rows that are computed first: whoever asks for one frame does not wait for many.
const FIRST_ROWS: usize = 1024;

/// Rows of a partition that wait in memory before they go on.
const MOST_ROWS: usize = 65_536;

/// Pairs of stages that are computed side by side, each a partition in order of time. Where there are more, a
/// partition computes several, one after the other.
const SIDE_BY_SIDE: usize = 8;

/// One pair of stages of one session, to be computed as far as it is not aligned.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    /// The session as it was found.
    pub session: Session,
    /// The pair, and where its files end.
    pub task: Task,
    /// Its rows count only where an event of its second stage was ever seen.
    pub needs_second_stage: bool,
}

/// What of the rows goes out.
#[derive(Debug, Clone)]
struct Wanted {
    /// All columns, as SQL sees them.
    table: SchemaRef,
    /// Those that go out.
    columns: Vec<usize>,
    /// First and last instant at which a frame entered its first stage.
    span_ns: (i64, i64),
    /// Rows of a partition, at most.
    limit: Option<usize>,
}

/// The columns that need power samples.
const POWER: [&str; 8] = [
    "power_w",
    "cpu_w",
    "gpu_w",
    "power_age_ms",
    "power_err_ns",
    "energy_j",
    "lag_ms",
    "lag_err_ms",
];

impl Wanted {
    fn has_power(&self) -> bool {
        self.columns.iter().any(|at| POWER.contains(&self.table.field(*at).name().as_str()))
    }

    /// The columns of rows at rest, as SQL sees them.
    fn of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        to_sql(&batch.project(&self.columns)?, &Arc::new(self.table.project(&self.columns)?))
    }
}

/// Computes frames. It is made of parameters alone: rows are read when it runs, one blocking task a partition, which
/// ends when the stream is dropped or the limit is reached.
#[derive(Debug, Clone)]
pub(crate) struct LatencyExec {
    partitions: Vec<Vec<Share>>,
    wanted: Wanted,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LatencyExec {
    /// The rows of `shares` that entered their first stage within `span_ns` (both ends included): columns
    /// `projection` of `table`, whose first one is `ts`, and at least the first `limit`, where there are that many.
    pub fn try_new(
        shares: Vec<Share>,
        table: SchemaRef,
        projection: Option<&Vec<usize>>,
        span_ns: (i64, i64),
        limit: Option<usize>,
    ) -> Result<Self> {
        let columns: Vec<usize> =
            projection.map_or_else(|| (0..table.fields().len()).collect(), Vec::clone);
        let schema = Arc::new(table.project(&columns)?);
        let mut equivalences = EquivalenceProperties::new(schema);
        let count = shares.len().min(SIDE_BY_SIDE);
        // Several sessions one after the other may overlap in time.
        if let Some(ts) = columns.iter().position(|column| *column == 0)
            && shares.len() == count
        {
            let ts: Arc<dyn PhysicalExpr> = Arc::new(Column::new("ts", ts));
            equivalences.add_ordering([PhysicalSortExpr::new(ts, ASCENDING)]);
        }
        let mut partitions = vec![Vec::new(); count];
        for (at, share) in shares.into_iter().enumerate() {
            partitions[at % count].push(share);
        }
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            partitions,
            wanted: Wanted { table, columns, span_ns, limit },
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for LatencyExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let shares: usize = self.partitions.iter().map(Vec::len).sum();
        let schema = self.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        write!(f, "LatencyExec: pairs={shares}, projection=[{}]", names.join(", "))?;
        match self.wanted.span_ns {
            (i64::MIN, i64::MAX) => {}
            (from_ns, to_ns) => write!(f, ", ts={from_ns}..={to_ns}")?,
        }
        match self.wanted.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for LatencyExec {
    fn name(&self) -> &str {
        "LatencyExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("LatencyExec has no inputs"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("LatencyExec has no inputs"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(shares) = self.partitions.get(partition).cloned() else {
            return internal_err!("LatencyExec has no partition {partition}");
        };
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), 1);
        let out = Out {
            rows: builder.tx(),
            left: self.wanted.limit.unwrap_or(usize::MAX),
            wanted: self.wanted.clone(),
            batch_rows: context.session_config().batch_size().max(1),
            reservation: MemoryConsumer::new("LatencyExec").register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            failed: None,
        };
        builder.spawn_blocking(move || out.run(&shares));
        Ok(builder.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Where the rows of one partition go.
struct Out {
    rows: Sender<Result<RecordBatch>>,
    wanted: Wanted,
    /// Rows until the limit.
    left: usize,
    batch_rows: usize,
    reservation: MemoryReservation,
    metrics: BaselineMetrics,
    /// Why it stopped, if not for having enough.
    failed: Option<DataFusionError>,
}

impl Out {
    fn run(mut self, shares: &[Share]) -> Result<()> {
        for share in shares {
            match self.share(share) {
                Ok(()) | Err(LatencyError::Stopped) => {}
                Err(e) => return Err(DataFusionError::External(Box::new(e))),
            }
            if let Some(e) = self.failed.take() {
                return Err(e);
            }
            if self.left == 0 || self.rows.is_closed() {
                break;
            }
        }
        self.metrics.done();
        Ok(())
    }

    fn share(&mut self, share: &Share) -> Result<(), LatencyError> {
        let rows = self.rows.clone();
        let demand = Demand {
            from_ns: self.wanted.span_ns.0,
            with_power: self.wanted.has_power(),
            first_rows: FIRST_ROWS,
            most_rows: MOST_ROWS,
            is_over: &|| rows.is_closed(),
        };
        let elapsed = self.metrics.elapsed_compute().clone();
        let _timer = elapsed.timer();
        // Rows that wait until the second stage is seen; None once it was.
        let mut waiting = share.needs_second_stage.then(Vec::new);
        let tasks = std::slice::from_ref(&share.task);
        let ends = compute(&share.session, tasks, Until::Now, &demand, |_, batch| {
            if let Some(held) = &mut waiting {
                let is_seen = batch["latency_ms"].null_count() < batch.num_rows();
                held.push(batch);
                return match is_seen {
                    true => self.send_all(waiting.take()),
                    false => Ok(()),
                };
            }
            self.send(&batch)
        })?;
        match ends.iter().any(|end| end.progress.seen_b) {
            true => self.send_all(waiting),
            // A stage that no frame ever passed says nothing of frames: they did not drop on the way to it.
            false => Ok(()),
        }
    }

    fn send_all(&mut self, batches: Option<Vec<RecordBatch>>) -> Result<(), LatencyError> {
        batches.into_iter().flatten().try_for_each(|batch| self.send(&batch))
    }

    /// Sends rows at rest, which are sorted by `ts`, as far as they are wanted.
    fn send(&mut self, batch: &RecordBatch) -> Result<(), LatencyError> {
        let due = stamps(batch).partition_point(|ts| *ts <= self.wanted.span_ns.1);
        let rows = self.wanted.of(&batch.slice(0, due)).and_then(|rows| {
            self.reservation.try_resize(rows.get_array_memory_size())?;
            Ok(rows)
        });
        let rows = match rows {
            Ok(rows) => rows,
            Err(e) => {
                self.failed = Some(e);
                return Err(LatencyError::Stopped);
            }
        };
        let mut from = 0;
        while from < due && self.left > 0 {
            let piece = rows.slice(from, (due - from).min(self.batch_rows).min(self.left));
            from += piece.num_rows();
            self.left -= piece.num_rows();
            self.metrics.record_output(piece.num_rows());
            self.rows.blocking_send(Ok(piece)).map_err(|_| LatencyError::Stopped)?;
        }
        // Those that are to come are later still.
        let is_over = due < batch.num_rows() || self.left == 0;
        if is_over { Err(LatencyError::Stopped) } else { Ok(()) }
    }
}
