//! Energy as a kernel.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};

use super::node::{Energy, EnergyWhat, added_field};
use super::stream;
use crate::operator::{Kernel, Output, Physical, Planned};

/// Merges rows with power samples. It holds the samples from the first instant of a batch to its last.
#[derive(Debug, Clone)]
pub(crate) struct EnergyOn {
    /// How.
    pub what: EnergyWhat,
    /// The two instants of a row: TIMESTAMP, DATE, TIME or DURATION, or whole nanoseconds.
    pub span: (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    /// Time and watts of a power sample.
    pub sample: (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    /// Pairs of expressions over a row and a sample that must be equal.
    pub keys: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
    /// Expressions over a sample in which those of one key must not differ.
    pub apart: Vec<Arc<dyn PhysicalExpr>>,
}

impl Planned for Energy {
    type Kernel = EnergyOn;

    fn kernel(&self, physical: &Physical<'_>) -> Result<EnergyOn> {
        Ok(EnergyOn {
            what: self.what,
            span: (physical(&self.span.0, 0)?, physical(&self.span.1, 0)?),
            sample: (physical(&self.sample.0, 1)?, physical(&self.sample.1, 1)?),
            keys: (self.keys.iter())
                .map(|(left, right)| Ok((physical(left, 0)?, physical(right, 1)?)))
                .collect::<Result<_>>()?,
            apart: self.apart.iter().map(|expr| physical(expr, 1)).collect::<Result<_>>()?,
        })
    }
}

impl Kernel for EnergyOn {
    const NAME: &'static str = "EnergyExec";
    const KEEPS_ROWS: bool = true;

    fn schema(&self, inputs: &[SchemaRef]) -> SchemaRef {
        let mut fields: Vec<Arc<Field>> = inputs[0].fields().to_vec();
        fields.push(Arc::new(added_field()));
        Arc::new(Schema::new(fields))
    }

    fn stamps(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.span.0, &self.sample.0]
    }

    fn keys(&self) -> Vec<Vec<&Arc<dyn PhysicalExpr>>> {
        self.keys.iter().map(|(left, right)| vec![left, right]).collect()
    }

    fn expressions(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        let first = [&self.span, &self.sample].into_iter().chain(&self.keys);
        first.flat_map(|(left, right)| [left, right]).chain(&self.apart).collect()
    }

    fn ordering(&self) -> Option<LexOrdering> {
        None
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((from, to), (ts, watts)) = (&self.span, &self.sample);
        write!(f, "{from} .. {to} over {watts} at {ts}, {:?}", self.what)?;
        self.keys.iter().try_for_each(|(left, right)| write!(f, ", {left} = {right}"))
    }

    fn start(
        &self,
        mut inputs: Vec<SendableRecordBatchStream>,
        output: Output<'_>,
    ) -> Result<SendableRecordBatchStream> {
        let power = inputs.remove(1);
        stream::integrate(inputs.remove(0), power, self, output)
    }
}
