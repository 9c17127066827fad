//! Pairing as a kernel.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};

use super::node::{PairStages, PairWhat, added_fields};
use super::stream;
use crate::operator::{Kernel, Output, Physical, Planned};
use crate::sorted::ASCENDING;

/// Pairs events. It holds what is open within the window. The rows come in the order of `stage_a`.
#[derive(Debug, Clone)]
pub(crate) struct PairOn {
    /// Which events.
    pub what: PairWhat,
    /// Time of an event: TIMESTAMP, DATE, TIME or DURATION, or whole nanoseconds.
    pub ts: Arc<dyn PhysicalExpr>,
    /// Name of its stage.
    pub stage: Arc<dyn PhysicalExpr>,
    /// What identifies its frame, best first.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Events pair only where all of these are equal.
    pub groups: Vec<Arc<dyn PhysicalExpr>>,
}

impl Planned for PairStages {
    type Kernel = PairOn;

    fn kernel(&self, physical: &Physical<'_>) -> Result<PairOn> {
        let all = |exprs: &[Expr]| -> Result<Vec<_>> {
            exprs.iter().map(|expr| physical(expr, 0)).collect()
        };
        Ok(PairOn {
            what: self.what.clone(),
            ts: physical(&self.ts, 0)?,
            stage: physical(&self.stage, 0)?,
            keys: all(&self.keys)?,
            groups: all(&self.groups)?,
        })
    }
}

impl Kernel for PairOn {
    const NAME: &'static str = "PairExec";
    const KEEPS_ROWS: bool = false;

    fn schema(&self, inputs: &[SchemaRef]) -> SchemaRef {
        let added = added_fields().map(Arc::new);
        let fields: Vec<Arc<Field>> = inputs[0].fields().iter().cloned().chain(added).collect();
        Arc::new(Schema::new(fields))
    }

    fn stamps(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.ts]
    }

    fn keys(&self) -> Vec<Vec<&Arc<dyn PhysicalExpr>>> {
        self.groups.iter().map(|group| vec![group]).collect()
    }

    fn expressions(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        [&self.ts, &self.stage].into_iter().chain(&self.keys).chain(&self.groups).collect()
    }

    /// The one order that stays; others of the input speak of rows that are gone.
    fn ordering(&self) -> Option<LexOrdering> {
        self.ts.downcast_ref::<Column>()?;
        LexOrdering::new([PhysicalSortExpr::new(Arc::clone(&self.ts), ASCENDING)])
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PairWhat { stage_a, stage_b, window_ns, .. } = &self.what;
        write!(f, "{stage_a} -> {stage_b}, window_ns={window_ns}")
    }

    fn start(
        &self,
        mut inputs: Vec<SendableRecordBatchStream>,
        output: Output<'_>,
    ) -> Result<SendableRecordBatchStream> {
        stream::pair(inputs.remove(0), self, output)
    }
}
