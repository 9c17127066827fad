//! Filters that are decided before any file is touched.

use std::sync::Arc;

use bl_store::Session as Recorded;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Whether a filter is about nothing but some of these columns.
pub(super) fn is_about(filter: &Expr, names: &[&str]) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns.iter().all(|c| names.contains(&c.name.as_str()))
        && !filter.is_volatile()
}

/// The columns by which whole sessions pass or do not.
pub(super) const OF_SESSION: [&str; 2] = ["session", "node"];

/// The sessions of which rows may pass the filters.
pub(super) fn passing_sessions<'a>(
    state: &dyn Session,
    filters: &[Expr],
    sessions: &'a [Recorded],
) -> Result<Vec<&'a Recorded>> {
    let column = |f: fn(&Recorded) -> &str| StringArray::from_iter_values(sessions.iter().map(f));
    let columns = [
        (OF_SESSION[0], column(|session| session.id().as_str())),
        (OF_SESSION[1], column(|session| &session.manifest().node)),
    ];
    let passing = passing(state, filters, &columns)?;
    Ok(sessions.iter().zip(passing).filter(|(_, kept)| *kept).map(|(s, _)| s).collect())
}

/// The first and the last instant, as UTC nanoseconds, that pass the filters on column `ts`; what other filters say
/// is not seen.
pub(super) fn span_ns(filters: &[Expr]) -> (i64, i64) {
    let (mut from_ns, mut to_ns) = (i64::MIN, i64::MAX);
    for term in filters.iter().flat_map(split_conjunction) {
        let bounds = match term {
            Expr::Between(between) if !between.negated && is_ts(&between.expr) => {
                vec![(Operator::GtEq, &*between.low), (Operator::LtEq, &*between.high)]
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_ts(left) => {
                vec![(*op, &**right)]
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_ts(right) => {
                op.swap().map(|op| (op, &**left)).into_iter().collect()
            }
            _ => Vec::new(),
        };
        for (op, bound) in bounds {
            let Expr::Literal(ScalarValue::TimestampNanosecond(Some(ns), _), _) = *bound else {
                continue;
            };
            match op {
                Operator::GtEq => from_ns = from_ns.max(ns),
                Operator::Gt => from_ns = from_ns.max(ns.saturating_add(1)),
                Operator::LtEq => to_ns = to_ns.min(ns),
                Operator::Lt => to_ns = to_ns.min(ns.saturating_sub(1)),
                Operator::Eq => (from_ns, to_ns) = (from_ns.max(ns), to_ns.min(ns)),
                _ => {}
            }
        }
    }
    (from_ns, to_ns)
}

fn is_ts(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == "ts")
}

/// Which of some rows pass the filters that are [about](is_about) the columns given, each a name and its values.
pub(super) fn passing(
    state: &dyn Session,
    filters: &[Expr],
    columns: &[(&str, StringArray)],
) -> Result<Vec<bool>> {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let rows = columns.first().map_or(0, |(_, values)| values.len());
    let decided: Vec<Expr> = filters.iter().filter(|f| is_about(f, &names)).cloned().collect();
    let Some(filter) = conjunction(decided) else { return Ok(vec![true; rows]) };
    let fields = names.iter().map(|name| Field::new(*name, DataType::Utf8, false));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let values = columns.iter().map(|(_, values)| Arc::new(values.clone()) as ArrayRef);
    let batch = RecordBatch::try_new(Arc::clone(&schema), values.collect())?;
    let schema = DFSchema::try_from(schema)?;
    let unqualified = datafusion::logical_expr::expr_rewriter::unnormalize_col(filter);
    let (coerced, _) = coerce(unqualified, &schema)?;
    let kept = state.create_physical_expr(coerced, &schema)?.evaluate(&batch)?;
    let kept = kept.into_array(rows)?;
    Ok(kept.as_boolean().iter().map(|kept| kept == Some(true)).collect())
}

/// Casts what differs in type, as the analyzer does for whole plans.
fn coerce(expr: Expr, schema: &DFSchema) -> Result<(Expr, ())> {
    use datafusion::common::tree_node::TreeNode;
    use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;

    let expr = strip_casts(expr)?;
    Ok((expr.rewrite(&mut TypeCoercionRewriter::new(schema))?.data, ()))
}

/// Takes the dictionary casts out that were made for the types at rest.
fn strip_casts(expr: Expr) -> Result<Expr> {
    use datafusion::common::ScalarValue;
    use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};

    expr.transform(|e| {
        Ok(match e {
            Expr::Literal(ScalarValue::Dictionary(_, value), meta) => {
                Transformed::yes(Expr::Literal(*value, meta))
            }
            other => Transformed::no(other),
        })
    })
    .data()
}
