//! What the inputs of an operator are partitioned by, so that several cores work on it.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::logical_expr::utils::can_hash;
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr::{Partitioning, PhysicalExpr, RangePartitioning};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::operator::Kernel;

/// What the inputs of an operator are partitioned by: expressions over each, so that rows which have to do with one another
/// are in partitions of one number.
#[derive(Debug, Clone)]
pub(crate) enum PartitionedBy {
    /// Nothing: all rows are in one partition.
    Nothing,
    /// Ranges of one key, as they come.
    Ranges(Vec<Arc<dyn PhysicalExpr>>),
    /// All keys, in as many partitions as the session has.
    Hashes(Vec<Vec<Arc<dyn PhysicalExpr>>>),
}

impl PartitionedBy {
    /// What suits a kernel over inputs: ranges as they come, else hashes where there are rows enough.
    pub fn choose<K: Kernel>(
        kernel: &K,
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
    ) -> Result<Self> {
        match by_ranges(kernel, inputs) {
            Some(by) => Ok(Self::Ranges(by)),
            None if is_large(inputs, session)? => by_hashes(kernel, inputs),
            None => Ok(Self::Nothing),
        }
    }

    /// The expressions over each input; none where they are in one partition.
    pub fn of_inputs(&self) -> Option<Vec<Vec<Arc<dyn PhysicalExpr>>>> {
        match self {
            Self::Nothing => None,
            Self::Ranges(of_input) => Some(of_input.iter().map(|key| vec![key.clone()]).collect()),
            Self::Hashes(of_input) => Some(of_input.clone()),
        }
    }
}

/// Whether it is worth while to spread rows over partitions: that costs, too. Where nobody knows how many there are, they
/// stay together.
fn is_large(inputs: &[Arc<dyn ExecutionPlan>], session: &dyn Session) -> Result<bool> {
    let options = session.config().options();
    if session.config().target_partitions() < 2 || !options.optimizer.repartition_joins {
        return Ok(false);
    }
    let enough = options.optimizer.hash_join_single_partition_threshold_rows;
    let mut rows = 0;
    for input in inputs {
        let known = StatisticsContext::new().compute(input.as_ref(), &StatisticsArgs::new())?;
        rows += known.num_rows.get_value().copied().unwrap_or_default();
    }
    Ok(rows > 0 && rows >= enough)
}

/// All keys of a kernel, where it has any and all can be hashed.
fn by_hashes<K: Kernel>(kernel: &K, inputs: &[Arc<dyn ExecutionPlan>]) -> Result<PartitionedBy> {
    let mut of_inputs = vec![Vec::new(); inputs.len()];
    for key in kernel.keys() {
        for ((of_input, expr), input) in of_inputs.iter_mut().zip(key).zip(inputs) {
            if !can_hash(&expr.data_type(&input.schema())?) {
                return Ok(PartitionedBy::Nothing);
            }
            of_input.push(Arc::clone(expr));
        }
    }
    match of_inputs.iter().any(Vec::is_empty) {
        true => Ok(PartitionedBy::Nothing),
        false => Ok(PartitionedBy::Hashes(of_inputs)),
    }
}

/// The key by whose ranges all inputs are partitioned, in the same way: an expression over each input.
fn by_ranges<K: Kernel>(
    kernel: &K,
    inputs: &[Arc<dyn ExecutionPlan>],
) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    let ranges = inputs.iter().map(|input| match input.output_partitioning() {
        Partitioning::Range(range) if range.ordering().len() == 1 => Some(range),
        _ => None,
    });
    let ranges: Vec<&RangePartitioning> = ranges.collect::<Option<_>>()?;
    let splits = ranges.first()?.split_points();
    if ranges.iter().any(|range| range.split_points() != splits) {
        return None;
    }
    kernel.keys().into_iter().find_map(|key| {
        let by = key.into_iter().zip(&ranges).map(|(key, range)| {
            let by = &range.ordering().first().expr;
            (uncast(key) == by).then(|| Arc::clone(by))
        });
        by.collect()
    })
}

/// The expression below casts: equal values of it are cast to equal ones.
fn uncast(expr: &Arc<dyn PhysicalExpr>) -> &Arc<dyn PhysicalExpr> {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) => uncast(cast.expr()),
        None => expr,
    }
}
