//! Puts unparenthesised as-of joins into parentheses.
//!
//! DataFusion 55 parses `ASOF JOIN` and then refuses to plan it, but hands a join in parentheses to
//! relation planners ([`super::AsOfRelation`]). With a release that plans the syntax itself, this file and
//! that one go.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    JoinOperator, Select, TableFactor, TableWithJoins, VisitorMut,
};

/// Rewrites every `FROM` of what it visits, those of subqueries too.
pub(crate) struct Parenthesise;

impl VisitorMut for Parenthesise {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.from.iter().any(has_as_of) {
            select.from = std::mem::take(&mut select.from).into_iter().map(nest).collect();
        }
        ControlFlow::Continue(())
    }
}

/// Whether one of the joins, not counting those in parentheses, is an as-of join.
pub(super) fn has_as_of(tables: &TableWithJoins) -> bool {
    tables.joins.iter().any(|join| matches!(join.join_operator, JoinOperator::AsOf { .. }))
}

/// `a ASOF JOIN b … JOIN c …` as `(a ASOF JOIN b …) JOIN c …`: what remains outside of parentheses holds
/// no as-of join, and each pair of parentheses made here holds exactly one.
pub(super) fn nest(tables: TableWithJoins) -> TableWithJoins {
    let nested = |relation, joins| TableFactor::NestedJoin {
        table_with_joins: Box::new(TableWithJoins { relation, joins }),
        alias: None,
    };
    let mut relation = tables.relation;
    let mut joins = Vec::new();
    for join in tables.joins {
        if !matches!(join.join_operator, JoinOperator::AsOf { .. }) {
            joins.push(join);
            continue;
        }
        if !joins.is_empty() {
            relation = nested(relation, std::mem::take(&mut joins));
        }
        relation = nested(relation, vec![join]);
    }
    TableWithJoins { relation, joins }
}
