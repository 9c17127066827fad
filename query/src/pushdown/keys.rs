//! Filters over the keys of an as-of join, which are equal on both sides of a match.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::optimizer::utils::is_restrict_null_predicate;

/// Pairs of columns of one type that hold the same value wherever rows match.
pub(super) struct Equal {
    to_right: HashMap<Column, Column>,
    to_left: HashMap<Column, Column>,
}

impl Equal {
    /// Those among the keys of a join.
    pub fn of(keys: &[(Expr, Expr)], left: &DFSchema, right: &DFSchema) -> Self {
        let mut equal = Self { to_right: HashMap::new(), to_left: HashMap::new() };
        for (l, r) in keys {
            let (Some((l, l_type)), Some((r, r_type))) = (column(l, left), column(r, right)) else {
                continue;
            };
            if l_type == r_type {
                equal.to_right.insert(l.clone(), r.clone());
                equal.to_left.insert(r, l);
            }
        }
        equal
    }

    /// What a filter of left rows says of the right rows that they match, where it is about keys alone.
    pub fn to_right(&self, term: &Expr) -> Result<Option<Expr>> {
        renamed(term, &self.to_right)
    }

    /// A column of a filter that is about right keys alone. That a match is there is no such filter: it is one about
    /// both sides.
    pub fn only_right(&self, term: &Expr) -> Option<Column> {
        let columns = term.column_refs();
        let are_keys = columns.iter().all(|column| self.to_left.contains_key(*column));
        let first = columns.into_iter().min()?.clone();
        (are_keys && !matches!(term, Expr::IsNotNull(_))).then_some(first)
    }

    /// What a filter of right keys says of the left ones, where it fails for a row without a match.
    pub fn to_left_if_null_fails(&self, term: &Expr) -> Result<Option<Expr>> {
        match is_restrict_null_predicate(term.clone(), term.column_refs())? {
            true => renamed(term, &self.to_left),
            false => Ok(None),
        }
    }
}

/// The column that a key is, and its type. A key of texts may be cast from a dictionary of them.
fn column(key: &Expr, schema: &DFSchema) -> Option<(Column, DataType)> {
    let (column, cast_to) = match key {
        Expr::Column(column) => (column, None),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Column(column) => (column, Some(cast.field.data_type())),
            _ => return None,
        },
        _ => return None,
    };
    let found = Expr::Column(column.clone()).get_type(schema).ok()?;
    let is_same = match (cast_to, &found) {
        (None, _) => true,
        (Some(to), DataType::Dictionary(_, values)) => to == values.as_ref(),
        (Some(_), _) => false,
    };
    is_same.then(|| (column.clone(), found))
}

fn renamed(term: &Expr, names: &HashMap<Column, Column>) -> Result<Option<Expr>> {
    if !term.column_refs().into_iter().all(|column| names.contains_key(column)) {
        return Ok(None);
    }
    let renamed = term.clone().transform(|expr| {
        Ok(match &expr {
            Expr::Column(column) => match names.get(column) {
                Some(other) => Transformed::yes(Expr::Column(other.clone())),
                None => Transformed::no(expr),
            },
            _ => Transformed::no(expr),
        })
    });
    renamed.data().map(Some)
}
