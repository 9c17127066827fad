//! The kernels of `bl_align` as operators of DataFusion: what is the same for all of them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::equivalence::ProjectionMapping;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning,
    PhysicalExpr,
};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{
    EmbeddedProjection, ProjectionExec, try_embed_projection,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use crate::asof::AsOfJoin;
use crate::energy::Energy;
use crate::pair::PairStages;
use crate::partitioned::PartitionedBy;
use crate::sorted::ascending;

/// Batches decoded ahead of the kernel, for each input.
const READ_AHEAD: usize = 1;

/// A kernel over inputs that are each sorted by a stamp. Its rows follow those of the first input.
pub(crate) trait Kernel: fmt::Debug + Clone + Send + Sync + 'static {
    /// Name of the operator.
    const NAME: &'static str;
    /// Whether every row of the first input is put out, in its place.
    const KEEPS_ROWS: bool;

    /// All columns that it can put out.
    fn schema(&self, inputs: &[SchemaRef]) -> SchemaRef;

    /// The stamp that each input has to be sorted by.
    fn stamps(&self) -> Vec<&Arc<dyn PhysicalExpr>>;

    /// Its keys, each an expression over every input: only rows for which all are equal have to do with one another.
    fn keys(&self) -> Vec<Vec<&Arc<dyn PhysicalExpr>>>;

    /// Everything that it evaluates.
    fn expressions(&self) -> Vec<&Arc<dyn PhysicalExpr>>;

    /// The order of its rows, where it does not keep those of the first input.
    fn ordering(&self) -> Option<LexOrdering>;

    /// What it does, after its name.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Starts it over as many inputs as it has stamps.
    fn start(
        &self,
        inputs: Vec<SendableRecordBatchStream>,
        output: Output<'_>,
    ) -> Result<SendableRecordBatchStream>;
}

/// What a kernel is to put out, and where it tells how it goes.
pub(crate) struct Output<'a> {
    /// The columns, counted over [`Kernel::schema`].
    pub columns: &'a [usize],
    /// Their schema.
    pub schema: SchemaRef,
    /// Which partition.
    pub partition: usize,
    /// Settings and memory.
    pub context: &'a Arc<TaskContext>,
    /// Figures of the operator.
    pub metrics: &'a ExecutionPlanMetricsSet,
}

/// A kernel as an operator. Streaming; in partitions by its keys, or in one.
#[derive(Debug, Clone)]
pub(crate) struct Operator<K> {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    kernel: K,
    /// Columns that are put out; all without it.
    projection: Option<Vec<usize>>,
    by: PartitionedBy,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl<K: Kernel> Operator<K> {
    /// An operator over its inputs.
    fn try_new(
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        kernel: K,
        projection: Option<Vec<usize>>,
        by: PartitionedBy,
    ) -> Result<Self> {
        if inputs.len() != kernel.stamps().len() {
            return internal_err!("{} does not have {} inputs", K::NAME, inputs.len());
        }
        let schemas: Vec<_> = inputs.iter().map(|input| input.schema()).collect();
        let all = kernel.schema(&schemas);
        let mut equivalences = EquivalenceProperties::new(Arc::clone(&all));
        let ordering = match K::KEEPS_ROWS {
            true => inputs[0].output_ordering().cloned(),
            false => kernel.ordering(),
        };
        equivalences.add_orderings(ordering);
        // The columns of the first input come first, so that what partitions it partitions the rows.
        let mut partitioning = match &by {
            PartitionedBy::Nothing => Partitioning::UnknownPartitioning(1),
            _ => inputs[0].output_partitioning().clone(),
        };
        if let Some(columns) = &projection {
            let schema = Arc::new(all.project(columns)?);
            let mapping = ProjectionMapping::from_indices(columns, &all)?;
            partitioning = partitioning.project(&mapping, &equivalences);
            equivalences = equivalences.project(&mapping, schema);
        }
        let properties = PlanProperties::new(
            equivalences,
            partitioning,
            EmissionType::Incremental,
            inputs[0].boundedness(),
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Operator { inputs, kernel, projection, by, properties, metrics })
    }
}

impl<K: Kernel> DisplayAs for Operator<K> {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: ", K::NAME)?;
        self.kernel.describe(f)?;
        match &self.projection {
            Some(columns) => write!(f, ", projection={columns:?}"),
            None => Ok(()),
        }
    }
}

impl<K: Kernel> ExecutionPlan for Operator<K> {
    fn name(&self) -> &str {
        K::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let Some(by) = self.by.of_inputs() else {
            let single = vec![Distribution::SinglePartition; self.inputs.len()];
            return InputDistributionRequirements::new(single);
        };
        let by = by.into_iter().map(Distribution::KeyPartitioned);
        match self.inputs.len() {
            1 => InputDistributionRequirements::new(by.collect()),
            _ => InputDistributionRequirements::co_partitioned(by.collect()),
        }
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.kernel.stamps().into_iter().map(ascending).collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        (0..self.inputs.len()).map(|input| K::KEEPS_ROWS && input == 0).collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![matches!(self.by, PartitionedBy::Hashes(_)); self.inputs.len()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in self.kernel.expressions() {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (kernel, projection) = (self.kernel.clone(), self.projection.clone());
        Ok(Arc::new(Self::try_new(children, kernel, projection, self.by.clone())?))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let count = self.properties.output_partitioning().partition_count();
        let counts = self.inputs.iter().map(|input| input.output_partitioning().partition_count());
        if partition >= count || counts.into_iter().any(|of_input| of_input != count) {
            return internal_err!(
                "{} has {count} partitions, as each input, not {partition}",
                K::NAME
            );
        }
        let read = |input: &Arc<dyn ExecutionPlan>| {
            Ok(spawn_buffered(input.execute(partition, Arc::clone(&context))?, READ_AHEAD))
        };
        let inputs = self.inputs.iter().map(read).collect::<Result<Vec<_>>>()?;
        let schema = self.schema();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let columns = self.projection.as_deref().unwrap_or(&all);
        let (context, metrics) = (&context, &self.metrics);
        self.kernel.start(inputs, Output { columns, schema, partition, context, metrics })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        let first = |input| if input == 0 { ChildStats::At(partition) } else { ChildStats::Skip };
        (0..self.inputs.len()).map(first).collect()
    }

    /// How many rows there are, which operators above go by.
    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let rows = input_stats.first().map_or(Precision::Absent, |first| first.num_rows);
        let rows = if K::KEEPS_ROWS { rows } else { rows.to_inexact() };
        Ok(Arc::new(Statistics::new_unknown(&self.schema()).with_num_rows(rows)))
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        match self.projection {
            Some(_) => Ok(None),
            None => try_embed_projection(projection, self),
        }
    }
}

impl<K: Kernel> EmbeddedProjection for Operator<K> {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        Self::try_new(self.inputs.clone(), self.kernel.clone(), projection, self.by.clone())
    }
}

/// Plans the expressions of a node, each over the input of that number.
pub(crate) type Physical<'a> = dyn Fn(&Expr, usize) -> Result<Arc<dyn PhysicalExpr>> + 'a;

/// A node of the logical plan that a kernel stands for.
pub(crate) trait Planned {
    /// The kernel.
    type Kernel: Kernel;

    /// The kernel with its expressions planned.
    fn kernel(&self, physical: &Physical<'_>) -> Result<Self::Kernel>;
}

/// Plans the nodes of this crate.
#[derive(Debug)]
pub(crate) struct Kernels;

#[async_trait]
impl ExtensionPlanner for Kernels {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let physical = |expr: &Expr, input: usize| match logical_inputs.get(input) {
            Some(input) => {
                planner.create_physical_expr(expr, input.schema(), session, planning_ctx)
            }
            None => internal_err!("the node has no input {input}"),
        };
        let node = node.as_any();
        if let Some(node) = node.downcast_ref::<AsOfJoin>() {
            return plan(node, &physical, physical_inputs, session);
        }
        if let Some(node) = node.downcast_ref::<PairStages>() {
            return plan(node, &physical, physical_inputs, session);
        }
        match node.downcast_ref::<Energy>() {
            Some(node) => plan(node, &physical, physical_inputs, session),
            None => Ok(None),
        }
    }
}

fn plan<N: Planned>(
    node: &N,
    physical: &Physical<'_>,
    inputs: &[Arc<dyn ExecutionPlan>],
    session: &dyn Session,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let kernel = node.kernel(physical)?;
    let by = PartitionedBy::choose(&kernel, inputs, session)?;
    Ok(Some(Arc::new(Operator::try_new(inputs.to_vec(), kernel, None, by)?)))
}
