//! Takes filters through the operators of this crate, so that they prune sessions, files and pages below them.
//!
//! A filter goes only where the rows stay exactly the same: one over the left columns of an as-of join, over the groups
//! of a pairing, or over the input of an energy integral goes below. One over the key of an as-of join goes to both
//! sides. A range of the first input's stamps bounds those of the second, widened by the tolerance.

mod keys;
mod range;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Expr, Extension, Filter, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::asof::AsOfJoin;
use crate::energy::Energy;
use crate::pair::PairStages;
use keys::Equal;
use range::Range;

/// The rule. It looks at a filter right above an operator; DataFusion's own rules bring filters there, and take them on
/// from below.
#[derive(Debug)]
pub(crate) struct FiltersThroughKernels;

impl OptimizerRule for FiltersThroughKernels {
    fn name(&self) -> &str {
        "filters_through_kernels"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else { return Ok(Transformed::no(plan)) };
        let LogicalPlan::Extension(extension) = filter.input.as_ref() else {
            return Ok(Transformed::no(plan));
        };
        let terms = split_conjunction_owned(filter.predicate.clone());
        match through(extension.node.as_ref(), terms)? {
            Some(pushed) => Ok(Transformed::yes(pushed.into_plan()?)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// A node over filtered inputs, and what is still to be filtered above it.
struct Pushed {
    node: Arc<dyn UserDefinedLogicalNode>,
    above: Vec<Expr>,
}

impl Pushed {
    fn into_plan(self) -> Result<LogicalPlan> {
        let node = Arc::new(LogicalPlan::Extension(Extension { node: self.node }));
        filtered(&node, self.above).map(Arc::unwrap_or_clone)
    }
}

/// Takes what it can of `terms` through a node; none where that is nothing.
fn through(node: &dyn UserDefinedLogicalNode, terms: Vec<Expr>) -> Result<Option<Pushed>> {
    let node = node.as_any();
    if let Some(join) = node.downcast_ref::<AsOfJoin>() {
        return through_join(join, terms);
    }
    if let Some(pair) = node.downcast_ref::<PairStages>() {
        return through_pair(pair, terms);
    }
    match node.downcast_ref::<Energy>() {
        Some(energy) => through_energy(energy, terms),
        None => Ok(None),
    }
}

fn through_join(join: &AsOfJoin, terms: Vec<Expr>) -> Result<Option<Pushed>> {
    let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
    let keys = Equal::of(&join.keys, left_schema, right_schema);
    let mut range = Range::of(&join.stamps.0, left_schema);
    let (mut left, mut right, mut above) = (Vec::new(), Vec::new(), Vec::new());
    for term in terms {
        let is_left = |column| left_schema.has_column(column);
        if can_move(&term) && term.column_refs().into_iter().all(is_left) {
            // A right row of another key matches no left row that is left.
            right.extend(keys.to_right(&term)?);
            range.narrow(&term);
            left.push(term);
        } else if let Some(column) = keys.only_right(&term).filter(|_| can_move(&term))
            && let Some(of_left) = keys.to_left_if_null_fails(&term)?
        {
            // What is left to find out above is whether there was a match at all.
            left.push(of_left);
            right.push(term);
            above.push(Expr::Column(column).is_not_null());
        } else {
            above.push(term);
        }
    }
    right.extend(range.matches(join.side, join.tolerance, &join.stamps.1, right_schema)?);
    if left.is_empty() {
        return Ok(None);
    }
    let (left, right) = (filtered(&join.left, left)?, filtered(&join.right, right)?);
    let node = with_inputs(join, vec![left, right])?;
    Ok(Some(Pushed { node, above }))
}

fn through_pair(pair: &PairStages, terms: Vec<Expr>) -> Result<Option<Pushed>> {
    let groups: Vec<_> = pair.groups.iter().filter_map(Expr::try_as_col).collect();
    let (below, above): (Vec<Expr>, Vec<Expr>) = terms.into_iter().partition(|term| {
        can_move(term) && term.column_refs().iter().all(|column| groups.contains(column))
    });
    if below.is_empty() {
        return Ok(None);
    }
    let input = filtered(&pair.input, below)?;
    Ok(Some(Pushed { node: with_inputs(pair, vec![input])?, above }))
}

fn through_energy(energy: &Energy, terms: Vec<Expr>) -> Result<Option<Pushed>> {
    let schema = energy.input.schema();
    let (below, above): (Vec<Expr>, Vec<Expr>) = terms.into_iter().partition(|term| {
        can_move(term) && term.column_refs().into_iter().all(|column| schema.has_column(column))
    });
    if below.is_empty() {
        return Ok(None);
    }
    let mut range = Range::of(&energy.span.0, schema);
    below.iter().for_each(|term| range.narrow(term));
    let tolerance_ns = energy.what.tolerance_ns;
    let power_schema = energy.power.schema();
    let mut needed =
        Vec::from_iter(range.needed_since(tolerance_ns, &energy.sample.0, power_schema)?);
    let keys = Equal::of(&energy.keys, schema, power_schema);
    for term in &below {
        needed.extend(keys.to_right(term)?);
    }
    let power = filtered(&energy.power, needed)?;
    let input = filtered(&energy.input, below)?;
    Ok(Some(Pushed { node: with_inputs(energy, vec![input, power])?, above }))
}

/// Whether a filter says the same wherever it is evaluated, and is about rows at all.
fn can_move(term: &Expr) -> bool {
    let is_bound = |expr: &Expr| {
        let is_bound = matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        );
        Ok(is_bound)
    };
    !term.column_refs().is_empty() && !term.is_volatile() && !term.exists(is_bound).unwrap_or(true)
}

fn with_inputs<N: UserDefinedLogicalNodeCore>(
    node: &N,
    inputs: Vec<Arc<LogicalPlan>>,
) -> Result<Arc<dyn UserDefinedLogicalNode>> {
    let inputs = inputs.into_iter().map(Arc::unwrap_or_clone).collect();
    Ok(Arc::new(node.with_exprs_and_inputs(node.expressions(), inputs)?))
}

fn filtered(input: &Arc<LogicalPlan>, terms: Vec<Expr>) -> Result<Arc<LogicalPlan>> {
    match conjunction(terms) {
        Some(all) => Ok(Arc::new(LogicalPlan::Filter(Filter::try_new(all, Arc::clone(input))?))),
        None => Ok(Arc::clone(input)),
    }
}
