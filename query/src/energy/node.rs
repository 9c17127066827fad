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
    /// Pairs of expressions of one type, over a row and over a sample: a row has the power of the samples for which all
    /// are equal.
    pub keys: Vec<(Expr, Expr)>,
    /// What tells power samples of different meters or sessions apart, beside the keys: samples that differ in it are
    /// never taken for one series.
    pub apart: Vec<Expr>,
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
        let (keys, apart) = (Vec::new(), Vec::new());
        Ok(Energy { input, power, what, span, sample, keys, apart, schema: Arc::new(schema) })
    }

    /// The same by keys.
    pub fn by(self, keys: Vec<(Expr, Expr)>) -> Self {
        Energy { keys, ..self }
    }

    /// The same, which fails where power samples of one key differ in these.
    pub fn apart(self, apart: Vec<Expr>) -> Self {
        Energy { apart, ..self }
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
        let first = [&self.span, &self.sample].into_iter().chain(&self.keys);
        let pairs = first.flat_map(|(left, right)| [left.clone(), right.clone()]);
        pairs.chain(self.apart.iter().cloned()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ((from, to), (ts, watts)) = (&self.span, &self.sample);
        write!(f, "Energy: {from} .. {to} over {watts} at {ts}, {:?}", self.what)?;
        self.keys.iter().try_for_each(|(left, right)| write!(f, ", {left} = {right}"))
    }

    fn with_exprs_and_inputs(
        &self,
        mut exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let apart = exprs.split_off(exprs.len().saturating_sub(self.apart.len()));
        let mut pairs = Vec::with_capacity(exprs.len() / 2);
        let mut exprs = exprs.into_iter();
        while let (Some(left), Some(right)) = (exprs.next(), exprs.next()) {
            pairs.push((left, right));
        }
        let Ok([input, power]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("energy has two inputs");
        };
        if pairs.len() != self.keys.len() + 2 {
            return internal_err!("energy has two instants, a sample and its keys");
        }
        let keys = pairs.split_off(2);
        let (span, sample) = (pairs.remove(0), pairs.remove(0));
        let (input, power) = (Arc::new(input), Arc::new(power));
        Ok(Self::try_new(input, power, self.what, span, sample)?.by(keys).apart(apart))
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let input = output_columns.iter().copied().filter(|column| *column < width).collect();
        Some(vec![input, Vec::new()])
    }
}
