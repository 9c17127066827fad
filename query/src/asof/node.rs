//! The as-of join as a node of the logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bl_align::as_of::Side;
use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{
    Expr, JoinType, LogicalPlan, UserDefinedLogicalNodeCore, build_join_schema,
};

/// Every left row with its right row. The columns are those of the left input, then those of the right,
/// which become nullable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsOfJoin {
    /// Left input, whose rows are kept.
    pub left: Arc<LogicalPlan>,
    /// Right input.
    pub right: Arc<LogicalPlan>,
    /// Stamps of the left and the right rows: TIMESTAMP, DATE, TIME or DURATION of any unit, or whole nanoseconds.
    pub stamps: (Expr, Expr),
    /// Which right row is taken.
    pub side: Side,
    /// Largest distance of the stamps in nanoseconds.
    pub tolerance: Option<i64>,
    /// Pairs of expressions of one type that must be equal.
    pub keys: Vec<(Expr, Expr)>,
    schema: DFSchemaRef,
}

impl AsOfJoin {
    /// A node over two plans.
    ///
    /// # Errors
    /// When the inputs have a column of the same qualified name.
    pub fn try_new(
        left: Arc<LogicalPlan>,
        right: Arc<LogicalPlan>,
        stamps: (Expr, Expr),
        side: Side,
        tolerance: Option<i64>,
        keys: Vec<(Expr, Expr)>,
    ) -> Result<Self> {
        let schema = Arc::new(build_join_schema(left.schema(), right.schema(), &JoinType::Left)?);
        Ok(AsOfJoin { left, right, stamps, side, tolerance, keys, schema })
    }
}

impl PartialOrd for AsOfJoin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let parts =
            |node: &Self| (node.stamps.clone(), node.side, node.tolerance, node.keys.clone());
        match parts(self).partial_cmp(&parts(other)) {
            Some(Ordering::Equal) => (self == other).then_some(Ordering::Equal),
            unequal => unequal,
        }
    }
}

/// The comparison that a side stands for.
pub(super) fn comparison(side: Side) -> &'static str {
    match side {
        Side::AtOrBefore => ">=",
        Side::Before => ">",
        Side::AtOrAfter => "<=",
        Side::After => "<",
        Side::Nearest => "~",
    }
}

impl UserDefinedLogicalNodeCore for AsOfJoin {
    fn name(&self) -> &str {
        "AsOfJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let (left, right) = self.stamps.clone();
        let keys = self.keys.iter().cloned().flat_map(|(left, right)| [left, right]);
        [left, right].into_iter().chain(keys).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (left, right) = &self.stamps;
        write!(f, "AsOfJoin: {left} {} {right}", comparison(self.side))?;
        if let Some(tolerance) = self.tolerance {
            write!(f, ", tolerance={tolerance}")?;
        }
        for (left, right) in &self.keys {
            write!(f, ", {left} = {right}")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut pairs = Vec::with_capacity(exprs.len() / 2);
        let mut exprs = exprs.into_iter();
        while let (Some(left), Some(right)) = (exprs.next(), exprs.next()) {
            pairs.push((left, right));
        }
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("an as-of join has two inputs");
        };
        if pairs.len() != self.keys.len() + 1 {
            return internal_err!("an as-of join has a pair of stamps and its keys");
        }
        let stamps = pairs.remove(0);
        Self::try_new(Arc::new(left), Arc::new(right), stamps, self.side, self.tolerance, pairs)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        let (left, right): (Vec<usize>, Vec<usize>) =
            output_columns.iter().partition(|column| **column < width);
        Some(vec![left, right.into_iter().map(|column| column - width).collect()])
    }
}
