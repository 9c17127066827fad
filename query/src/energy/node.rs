//! Energy as a node of the logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bl_align::energy::{EnergyOptions, Gaps, Method};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::stamp::{require_number, stamp_type};

/// How power is integrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub struct EnergyWhat {
    /// Power is held from sample to sample; else it is on the line between them.
    pub is_held: bool,
    /// The sum goes on through gaps between the two instants; else it is null across one.
    pub bridges_gaps: bool,
    /// Longest time between samples that is no gap.
    pub tolerance_ns: i64,
}

impl From<EnergyWhat> for EnergyOptions {
    fn from(what: EnergyWhat) -> Self {
        EnergyOptions {
            method: if what.is_held { Method::Hold } else { Method::Trapezoid },
            gaps: if what.bridges_gaps { Gaps::Bridge } else { Gaps::Null },
            tolerance_ns: what.tolerance_ns,
        }
    }
}

/// Every row of the input, in order of `from`, with one column more: `energy_j` (DOUBLE; null where the
/// power is not known).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Energy {
    /// Rows with two instants each.
    pub input: Arc<LogicalPlan>,
    /// Power samples.
    pub power: Arc<LogicalPlan>,
    /// How it is integrated.
    pub what: EnergyWhat,
    /// The two instants of a row: TIMESTAMP, DATE, TIME or DURATION, or whole nanoseconds.
    pub span: (Expr, Expr),
    /// Time and watts of a power sample.
    pub sample: (Expr, Expr),
    schema: DFSchemaRef,
}

impl Energy {
    /// A node over rows and power samples.
    ///
    /// # Errors
    /// When the input has a column `energy_j` without a qualifier already, where an instant is no stamp or the power no
    /// number.
    pub fn try_new(
        input: Arc<LogicalPlan>,
        power: Arc<LogicalPlan>,
        what: EnergyWhat,
        span: (Expr, Expr),
        sample: (Expr, Expr),
    ) -> Result<Self> {
        stamp_type(&span.0, input.schema())?;
        stamp_type(&span.1, input.schema())?;
        stamp_type(&sample.0, power.schema())?;
        require_number(&sample.1, power.schema(), "power in watts")?;
        let added = (None, Arc::new(added_field()));
        let fields = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).chain([added]);
        let schema = DFSchema::new_with_metadata(fields.collect(), Default::default())?;
        Ok(Energy { input, power, what, span, sample, schema: Arc::new(schema) })
    }
}

/// The column that is added.
pub(super) fn added_field() -> Field {
    Field::new("energy_j", DataType::Float64, true)
}

impl PartialOrd for Energy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let parts = |node: &Self| (node.what, node.expressions());
        match parts(self).partial_cmp(&parts(other)) {
            Some(Ordering::Equal) => (self == other).then_some(Ordering::Equal),
            unequal => unequal,
        }
    }
}

impl UserDefinedLogicalNodeCore for Energy {
    fn name(&self) -> &str {
        "Energy"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input, &self.power]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.span.0.clone(), self.span.1.clone(), self.sample.0.clone(), self.sample.1.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ((from, to), (ts, watts)) = (&self.span, &self.sample);
        write!(f, "Energy: {from} .. {to} over {watts} at {ts}, {:?}", self.what)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Ok([from, to, ts, watts]), Ok([input, power])) =
            (<[Expr; 4]>::try_from(exprs), <[LogicalPlan; 2]>::try_from(inputs))
        else {
            return internal_err!("energy has two inputs and four expressions");
        };
        Self::try_new(Arc::new(input), Arc::new(power), self.what, (from, to), (ts, watts))
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let input = output_columns.iter().copied().filter(|column| *column < width).collect();
        Some(vec![input, Vec::new()])
    }
}
