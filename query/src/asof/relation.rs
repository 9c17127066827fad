//! Plans a parenthesised as-of join: from the parsed syntax to an [`AsOfJoin`].
//!
//! Only here and in [`super::rewrite`] is the seam to DataFusion 55's planner.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, Result, not_impl_err, plan_err};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Extension, LogicalPlan, LogicalPlanBuilder, Operator,
};
use datafusion::logical_expr_common::type_coercion::binary::comparison_coercion;
use datafusion::sql::sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, ObjectName, TableFactor, TableWithJoins,
};

use super::condition::{MatchCondition, Source, source_of};
use super::node::AsOfJoin;
use super::rewrite::{has_as_of, nest};

/// Plans as-of joins in parentheses.
#[derive(Debug)]
pub(crate) struct AsOfRelation;

impl RelationPlanner for AsOfRelation {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::NestedJoin { table_with_joins, alias } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        if !has_as_of(&table_with_joins) {
            let relation = TableFactor::NestedJoin { table_with_joins, alias };
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let TableWithJoins { relation, mut joins } = *table_with_joins;
        if joins.len() > 1 {
            let nested = Box::new(nest(TableWithJoins { relation, joins }));
            let plan = context.plan(TableFactor::NestedJoin { table_with_joins: nested, alias })?;
            return Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))));
        }
        let Some(join) = joins.pop() else { return plan_err!("a join without a right side") };
        let plan = plan_join(relation, join, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

fn plan_join(
    left: TableFactor,
    join: Join,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let JoinOperator::AsOf { match_condition, constraint } = join.join_operator else {
        return plan_err!("not an ASOF JOIN");
    };
    let left = context.plan(left)?;
    let right = context.plan(join.relation)?;
    let both = left.schema().join(right.schema())?;
    let condition = context.sql_to_expr(match_condition, &both)?;
    let condition = MatchCondition::read(condition, left.schema(), right.schema())?;
    let mut merged = Vec::new();
    let pairs = match constraint {
        JoinConstraint::None => Vec::new(),
        JoinConstraint::On(on) => equalities(context.sql_to_expr(on, &both)?)?,
        JoinConstraint::Using(names) => {
            let mut pairs = Vec::new();
            for name in names {
                let name = column_name(name, context)?;
                let of = |schema: &DFSchema| -> Result<Column> {
                    Ok(Column::from(schema.qualified_field_with_unqualified_name(&name)?))
                };
                let (left, right) = (of(left.schema())?, of(right.schema())?);
                merged.push(right.clone());
                pairs.push((Expr::Column(left), Expr::Column(right)));
            }
            pairs
        }
        JoinConstraint::Natural => {
            return not_impl_err!("NATURAL ASOF JOIN: name the keys with USING");
        }
    };
    let keys = pairs
        .into_iter()
        .map(|pair| key(pair, left.schema(), right.schema()))
        .collect::<Result<Vec<_>>>()?;
    let node = AsOfJoin::try_new(
        Arc::new(left),
        Arc::new(right),
        (condition.left, condition.right),
        condition.side,
        condition.tolerance,
        keys,
    )?;
    let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
    if merged.is_empty() {
        return Ok(plan);
    }
    // USING yields its columns once, as the left table has them.
    let columns = plan.schema().columns().into_iter().filter(|column| !merged.contains(column));
    let columns: Vec<Expr> = columns.map(Expr::Column).collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

fn column_name(name: ObjectName, context: &dyn RelationPlannerContext) -> Result<String> {
    match name.0.as_slice() {
        [part] if part.as_ident().is_some() => Ok(part
            .as_ident()
            .map(|ident| context.normalize_ident(ident.clone()))
            .unwrap_or_default()),
        _ => plan_err!("USING takes plain column names, not {name}"),
    }
}

fn equalities(on: Expr) -> Result<Vec<(Expr, Expr)>> {
    split_conjunction_owned(on)
        .into_iter()
        .map(|term| match term {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => Ok((*left, *right)),
            other => plan_err!(
                "the ON of an ASOF JOIN holds equalities joined by AND, like a.device = b.device; \
                 found {other}"
            ),
        })
        .collect()
}

/// Orders a pair of key expressions as (left, right) and brings both to one type.
fn key((a, b): (Expr, Expr), left: &DFSchema, right: &DFSchema) -> Result<(Expr, Expr)> {
    let (l, r) = match (source_of(&a, left, right), source_of(&b, left, right)) {
        (Source::Left, Source::Right) => (a, b),
        (Source::Right, Source::Left) => (b, a),
        _ => {
            return plan_err!(
                "the ON of an ASOF JOIN must set a column of the left table equal to one of the right; \
                 found {a} = {b}"
            );
        }
    };
    of_one_type((l, left), (r, right))
}

/// Brings two keys to one type.
pub(crate) fn of_one_type(
    (l, left): (Expr, &DFSchema),
    (r, right): (Expr, &DFSchema),
) -> Result<(Expr, Expr)> {
    let (left_type, right_type) = (l.get_type(left)?, r.get_type(right)?);
    match comparison_coercion(&left_type, &right_type) {
        Some(common) if common.is_floating() => plan_err!(
            "an as-of join compares {common} keys; floats are not compared for equality, cast \
             them to an integer or a string"
        ),
        Some(common) => Ok((l.cast_to(&common, left)?, r.cast_to(&common, right)?)),
        None => {
            plan_err!("an as-of join cannot compare keys of type {left_type} with {right_type}")
        }
    }
}
