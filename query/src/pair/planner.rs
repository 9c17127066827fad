//! From logical to physical pairing.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::exec::{PairExec, PairOn};
use super::node::PairStages;

/// Plans [`PairStages`] nodes.
#[derive(Debug)]
pub(crate) struct PairPlanner;

#[async_trait]
impl ExtensionPlanner for PairPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<PairStages>() else { return Ok(None) };
        let ([logical], [input]) = (logical_inputs, physical_inputs) else {
            return internal_err!("pairing has one input");
        };
        let physical = |expr: &Expr| -> Result<Arc<dyn PhysicalExpr>> {
            planner.create_physical_expr(expr, logical.schema(), session, planning_ctx)
        };
        let on = PairOn {
            what: node.what.clone(),
            ts: physical(&node.ts)?,
            stage: physical(&node.stage)?,
            keys: node.keys.iter().map(physical).collect::<Result<_>>()?,
            groups: node.groups.iter().map(physical).collect::<Result<_>>()?,
        };
        Ok(Some(Arc::new(PairExec::try_new(Arc::clone(input), on, None)?)))
    }
}
