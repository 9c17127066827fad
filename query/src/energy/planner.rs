//! From logical to physical energy.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::exec::{EnergyExec, EnergyOn};
use super::node::Energy;

/// Plans [`Energy`] nodes.
#[derive(Debug)]
pub(crate) struct EnergyPlanner;

#[async_trait]
impl ExtensionPlanner for EnergyPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<Energy>() else { return Ok(None) };
        let ([rows, samples], [input, power]) = (logical_inputs, physical_inputs) else {
            return internal_err!("energy has two inputs");
        };
        let pair = |(a, b): &(Expr, Expr), of: &LogicalPlan| -> Result<(_, _)> {
            Ok((
                planner.create_physical_expr(a, of.schema(), session, planning_ctx)?,
                planner.create_physical_expr(b, of.schema(), session, planning_ctx)?,
            ))
        };
        let on = EnergyOn {
            what: node.what,
            span: pair(&node.span, rows)?,
            sample: pair(&node.sample, samples)?,
        };
        let (input, power) = (Arc::clone(input), Arc::clone(power));
        Ok(Some(Arc::new(EnergyExec::try_new(input, power, on, None)?)))
    }
}
