//! From the logical to the physical as-of join.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::exec::{AsOfJoinExec, AsOfOn};
use super::node::AsOfJoin;

/// Plans [`AsOfJoin`] nodes.
#[derive(Debug)]
pub(crate) struct AsOfPlanner;

#[async_trait]
impl ExtensionPlanner for AsOfPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<AsOfJoin>() else { return Ok(None) };
        let ([left, right], [left_input, right_input]) = (logical_inputs, physical_inputs) else {
            return internal_err!("an as-of join has two inputs");
        };
        let pair =
            |(l, r): &(Expr, Expr)| -> Result<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)> {
                Ok((
                    planner.create_physical_expr(l, left.schema(), session, planning_ctx)?,
                    planner.create_physical_expr(r, right.schema(), session, planning_ctx)?,
                ))
            };
        let on = AsOfOn {
            stamps: pair(&node.stamps)?,
            side: node.side,
            tolerance: node.tolerance,
            keys: node.keys.iter().map(pair).collect::<Result<_>>()?,
        };
        let (left, right) = (Arc::clone(left_input), Arc::clone(right_input));
        Ok(Some(Arc::new(AsOfJoinExec::try_new(left, right, on, None)?)))
    }
}
