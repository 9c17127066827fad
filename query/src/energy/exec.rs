//! Energy as an operator.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
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

use super::node::{EnergyWhat, added_field};
use super::stream;
use crate::sorted::ascending;

/// Batches decoded ahead of the integration, for each input.
const READ_AHEAD: usize = 2;

/// What is integrated, and between which instants.
#[derive(Debug, Clone)]
pub struct EnergyOn {
    /// How.
    pub what: EnergyWhat,
    /// The two instants of a row: TIMESTAMP, or BIGINT nanoseconds.
    pub span: (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    /// Time and watts of a power sample.
    pub sample: (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
}

/// Merges rows that are sorted by their first instant with power samples that are sorted by time.
/// Streaming: it holds the power samples from the first instant of a batch to its last. Keeps the order of
/// the rows.
#[derive(Debug, Clone)]
pub struct EnergyExec {
    input: Arc<dyn ExecutionPlan>,
    power: Arc<dyn ExecutionPlan>,
    on: EnergyOn,
    /// Columns that are put out; all without it.
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl EnergyExec {
    /// An operator over rows and power samples.
    ///
    /// # Errors
    /// When `projection` names a column that does not exist.
    pub fn try_new(
        input: Arc<dyn ExecutionPlan>,
        power: Arc<dyn ExecutionPlan>,
        on: EnergyOn,
        projection: Option<Vec<usize>>,
    ) -> Result<Self> {
        let mut fields: Vec<Arc<Field>> = input.schema().fields().to_vec();
        fields.push(Arc::new(added_field()));
        let all = Arc::new(Schema::new(fields));
        let mut equivalences = EquivalenceProperties::new(Arc::clone(&all));
        if let Some(ordering) = input.output_ordering() {
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
            input.boundedness(),
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(EnergyExec { input, power, on, projection, properties, metrics })
    }
}

impl DisplayAs for EnergyExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let ((from, to), (ts, watts)) = (&self.on.span, &self.on.sample);
        write!(f, "EnergyExec: {from} .. {to} over {watts} at {ts}, {:?}", self.on.what)?;
        if let Some(columns) = &self.projection {
            write!(f, ", projection={columns:?}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for EnergyExec {
    fn name(&self) -> &str {
        "EnergyExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input, &self.power]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition; 2])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![ascending(&self.on.span.0), ascending(&self.on.sample.0)]
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
        let EnergyOn { span, sample, .. } = &self.on;
        for expr in [&span.0, &span.1, &sample.0, &sample.1] {
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
        let Ok([input, power]) = <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) else {
            return internal_err!("EnergyExec has two children");
        };
        Ok(Arc::new(Self::try_new(input, power, self.on.clone(), self.projection.clone())?))
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
            return internal_err!("EnergyExec has one partition, not {partition}");
        }
        let input = spawn_buffered(self.input.execute(0, Arc::clone(&context))?, READ_AHEAD);
        let power = spawn_buffered(self.power.execute(0, Arc::clone(&context))?, READ_AHEAD);
        let all = (0..=self.input.schema().fields().len()).collect();
        let columns = self.projection.clone().unwrap_or(all);
        stream::integrate(input, power, &self.on, &columns, self.schema(), &self.metrics)
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

impl EmbeddedProjection for EnergyExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        let (input, power) = (Arc::clone(&self.input), Arc::clone(&self.power));
        Self::try_new(input, power, self.on.clone(), projection)
    }
}
