//! Filters that are decided before any file is touched.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;

/// Whether a filter is about nothing but some of these columns.
pub(super) fn is_about(filter: &Expr, names: &[&str]) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns.iter().all(|c| names.contains(&c.name.as_str()))
        && !filter.is_volatile()
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
