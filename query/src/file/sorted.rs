//! Passes batches on and checks that they are sorted as it was said.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, PrimitiveArray, RecordBatch};
use datafusion::arrow::compute::{SortOptions, cast};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

/// Fails when the rows of a partition are not ascending by a column (nulls last).
#[derive(Debug, Clone)]
pub(super) struct SortedExec {
    input: Arc<dyn ExecutionPlan>,
    column: usize,
    /// `NAME=FILE` of the table.
    label: String,
}

impl SortedExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, column: usize, label: String) -> Self {
        SortedExec { input, column, label }
    }

    fn name_of_column(&self) -> String {
        self.input.schema().field(self.column).name().clone()
    }
}

impl DisplayAs for SortedExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SortedExec: by {}", self.name_of_column())
    }
}

impl ExecutionPlan for SortedExec {
    fn name(&self) -> &str {
        "SortedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let column = Arc::new(Column::new(&self.name_of_column(), self.column));
        let options = SortOptions { descending: false, nulls_first: false };
        let ordering = LexOrdering::new([PhysicalSortExpr::new(column, options)]);
        vec![ordering.map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
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
        let Ok([input]) = <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) else {
            return internal_err!("SortedExec has one child");
        };
        Ok(Arc::new(SortedExec { input, ..Self::clone(&self) }))
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
        let input = self.input.execute(partition, context)?;
        let mut check = Check {
            column: self.column,
            name: self.name_of_column(),
            label: self.label.clone(),
            rows: 0,
            last: i64::MIN,
            has_ended: false,
        };
        let schema = input.schema();
        let batches = input.map(move |batch| batch.and_then(|batch| check.pass(batch)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(child_pushdown_result))
    }
}

/// What was seen of one partition.
struct Check {
    column: usize,
    name: String,
    label: String,
    rows: usize,
    last: i64,
    /// Whether a null came: after it only nulls may.
    has_ended: bool,
}

impl Check {
    fn pass(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let values = cast(batch.column(self.column), &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>();
        let nulls = values.null_count();
        let filled = values.len() - nulls;
        if nulls > 0 && values.nulls().is_some_and(|valid| valid.slice(0, filled).null_count() > 0)
        {
            return exec_err!("{}", self.text("a null comes before a value"));
        }
        if filled > 0 && self.has_ended {
            return exec_err!("{}", self.text("a value comes after a null"));
        }
        self.has_ended |= nulls > 0;
        self.ascending(values, filled)?;
        self.rows += values.len();
        Ok(batch)
    }

    fn ascending(&mut self, values: &PrimitiveArray<Int64Type>, filled: usize) -> Result<()> {
        let values = &values.values()[..filled];
        let Some((first, last)) = values.first().zip(values.last()) else { return Ok(()) };
        // Without an exit the loop is vectorised; the culprit is searched for only when there is one.
        let within = values.windows(2).fold(true, |ok, pair| ok & (pair[0] <= pair[1]));
        if !within || *first < self.last {
            let previous = std::iter::once(&self.last).chain(values);
            let culprit = previous.zip(values).position(|(a, b)| b < a).unwrap_or(0);
            let row = self.rows + culprit;
            let before = if culprit == 0 { self.last } else { values[culprit - 1] };
            let what = format!("row {row} holds {} after {before}", values[culprit]);
            return exec_err!("{}", self.text(&what));
        }
        self.last = *last;
        Ok(())
    }

    fn text(&self, what: &str) -> String {
        format!(
            "table {label} is not sorted by {name}: {what} (rows counted from 0 as they are read); sort \
             the file, or register it as {label},unsorted and it is sorted when that is needed",
            label = self.label,
            name = self.name,
        )
    }
}
