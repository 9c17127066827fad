//! Pairing as an operator.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::equivalence::ProjectionMapping;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, OrderingRequirements, Partitioning, PhysicalExpr,
    PhysicalSortExpr,
};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{
    EmbeddedProjection, ProjectionExec, try_embed_projection,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties,
};

use super::node::{PairWhat, added_fields};
use super::stream;
use crate::sorted::{ASCENDING, ascending};

/// Batches decoded ahead of the pairing.
const READ_AHEAD: usize = 1;

/// What is paired, and by what.
#[derive(Debug, Clone)]
pub struct PairOn {
    /// Which events.
    pub what: PairWhat,
    /// Time of an event: TIMESTAMP, or BIGINT nanoseconds.
    pub ts: Arc<dyn PhysicalExpr>,
    /// Name of its stage.
    pub stage: Arc<dyn PhysicalExpr>,
    /// What identifies its frame, best first.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Events pair only where all of these are equal.
    pub groups: Vec<Arc<dyn PhysicalExpr>>,
}

/// Pairs events that are sorted by time. Streaming: it holds what is open within the window. The rows come
/// in the order of `stage_a`.
#[derive(Debug, Clone)]
pub struct PairExec {
    input: Arc<dyn ExecutionPlan>,
    on: PairOn,
    /// Columns that are put out; all without it.
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PairExec {
    /// An operator over events.
    ///
    /// # Errors
    /// When `projection` names a column that does not exist.
    pub fn try_new(
        input: Arc<dyn ExecutionPlan>,
        on: PairOn,
        projection: Option<Vec<usize>>,
    ) -> Result<Self> {
        let all = paired_schema(&input.schema());
        let mut equivalences = EquivalenceProperties::new(Arc::clone(&all));
        // The one order that stays; others of the input speak of rows that are gone.
        if on.ts.downcast_ref::<Column>().is_some() {
            equivalences.add_ordering([PhysicalSortExpr::new(Arc::clone(&on.ts), ASCENDING)]);
        }
        if let Some(columns) = &projection {
            let schema = Arc::new(all.project(columns)?);
            let mapping = ProjectionMapping::from_indices(columns, &all)?;
            equivalences = equivalences.project(&mapping, schema);
        }
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            input.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(PairExec { input, on, projection, properties: Arc::new(properties), metrics })
    }
}

fn paired_schema(input: &Schema) -> SchemaRef {
    let added = added_fields().map(Arc::new);
    let fields: Vec<Arc<Field>> = input.fields().iter().cloned().chain(added).collect();
    Arc::new(Schema::new(fields))
}

impl DisplayAs for PairExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let PairWhat { stage_a, stage_b, window_ns, .. } = &self.on.what;
        write!(f, "PairExec: {stage_a} -> {stage_b}, window_ns={window_ns}")?;
        if let Some(columns) = &self.projection {
            write!(f, ", projection={columns:?}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for PairExec {
    fn name(&self) -> &str {
        "PairExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![ascending(&self.on.ts)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let PairOn { ts, stage, keys, groups, .. } = &self.on;
        for expr in [ts, stage].into_iter().chain(keys).chain(groups) {
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
        let Ok([input]) = <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) else {
            return internal_err!("PairExec has one child");
        };
        Ok(Arc::new(Self::try_new(input, self.on.clone(), self.projection.clone())?))
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
        if partition != 0 {
            return internal_err!("PairExec has one partition, not {partition}");
        }
        let input = spawn_buffered(self.input.execute(0, Arc::clone(&context))?, READ_AHEAD);
        let all = (0..self.input.schema().fields().len() + added_fields().len()).collect();
        let columns = self.projection.clone().unwrap_or(all);
        stream::pair(input, &self.on, &columns, self.schema(), &context, &self.metrics)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
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

impl EmbeddedProjection for PairExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        Self::try_new(Arc::clone(&self.input), self.on.clone(), projection)
    }
}
