//! The as-of join as an operator.

use std::fmt;
use std::sync::Arc;

use bl_align::as_of::Side;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::equivalence::ProjectionMapping;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, OrderingRequirements, Partitioning, PhysicalExpr,
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

use super::node::comparison;
use super::stream;
use crate::sorted::ascending;

/// Batches decoded ahead of the merge, for each input.
const READ_AHEAD: usize = 1;

/// What rows are matched on.
#[derive(Debug, Clone)]
pub struct AsOfOn {
    /// Stamps of left and right rows.
    pub stamps: (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    /// Which right row is taken.
    pub side: Side,
    /// Largest distance of the stamps, in the unit of their type.
    pub tolerance: Option<i64>,
    /// Pairs of expressions that must be equal.
    pub keys: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
}

/// Merges two inputs that are sorted by their stamps. Streaming: it holds the batches of the right input
/// that can still be matched, and one of the left. Keeps the left order.
#[derive(Debug, Clone)]
pub struct AsOfJoinExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    on: AsOfOn,
    /// Columns of left and right together that are put out; all without it.
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl AsOfJoinExec {
    /// An operator over two inputs.
    ///
    /// # Errors
    /// When `projection` names a column that does not exist.
    pub fn try_new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        on: AsOfOn,
        projection: Option<Vec<usize>>,
    ) -> Result<Self> {
        let all = joined_schema(&left.schema(), &right.schema());
        let mut equivalences = EquivalenceProperties::new(Arc::clone(&all));
        if let Some(ordering) = left.output_ordering() {
            equivalences.add_ordering(ordering.iter().cloned());
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
            left.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(AsOfJoinExec { left, right, on, projection, properties: Arc::new(properties), metrics })
    }
}

fn joined_schema(left: &Schema, right: &Schema) -> SchemaRef {
    let left = left.fields().iter().map(Arc::clone);
    let right =
        right.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
    Arc::new(Schema::new(left.chain(right).collect::<Vec<_>>()))
}

impl DisplayAs for AsOfJoinExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let (left, right) = &self.on.stamps;
        write!(f, "AsOfJoinExec: {left} {} {right}", comparison(self.on.side))?;
        if let Some(tolerance) = self.on.tolerance {
            write!(f, ", tolerance={tolerance}")?;
        }
        for (left, right) in &self.on.keys {
            write!(f, ", {left} = {right}")?;
        }
        if let Some(columns) = &self.projection {
            write!(f, ", projection={columns:?}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for AsOfJoinExec {
    fn name(&self) -> &str {
        "AsOfJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition; 2])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![ascending(&self.on.stamps.0), ascending(&self.on.stamps.1)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let pairs = std::iter::once(&self.on.stamps).chain(&self.on.keys);
        for expr in pairs.flat_map(|(left, right)| [left, right]) {
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
        let Ok([left, right]) = <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) else {
            return internal_err!("AsOfJoinExec has two children");
        };
        Ok(Arc::new(Self::try_new(left, right, self.on.clone(), self.projection.clone())?))
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
            return internal_err!("AsOfJoinExec has one partition, not {partition}");
        }
        let left = spawn_buffered(self.left.execute(0, Arc::clone(&context))?, READ_AHEAD);
        let right = spawn_buffered(self.right.execute(0, Arc::clone(&context))?, READ_AHEAD);
        let all: Vec<usize>;
        let columns = match &self.projection {
            Some(columns) => columns,
            None => {
                all = (0..self.schema().fields().len()).collect();
                &all
            }
        };
        stream::merge(left, right, &self.on, columns, self.schema(), &context, &self.metrics)
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

impl EmbeddedProjection for AsOfJoinExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        Self::try_new(Arc::clone(&self.left), Arc::clone(&self.right), self.on.clone(), projection)
    }
}
