//! The as-of join as a kernel.

use std::fmt;
use std::sync::Arc;

use bl_align::as_of::Side;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};

use super::node::{AsOfJoin, comparison};
use super::stream;
use crate::operator::{Kernel, Output, Physical, Planned};

/// Merges two inputs. It holds the batches of the right one that can still be matched, and one of the left.
#[derive(Debug, Clone)]
pub(crate) struct AsOfOn {
    /// Stamps of left and right rows, each of any type that is a stamp.
    pub stamps: (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    /// Which right row is taken.
    pub side: Side,
    /// Largest distance of the stamps in nanoseconds.
    pub tolerance: Option<i64>,
    /// Pairs of expressions that must be equal.
    pub keys: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
}

impl Planned for AsOfJoin {
    type Kernel = AsOfOn;

    fn kernel(&self, physical: &Physical<'_>) -> Result<AsOfOn> {
        let pair = |(left, right): &(Expr, Expr)| -> Result<(_, _)> {
            Ok((physical(left, 0)?, physical(right, 1)?))
        };
        Ok(AsOfOn {
            stamps: pair(&self.stamps)?,
            side: self.side,
            tolerance: self.tolerance,
            keys: self.keys.iter().map(pair).collect::<Result<_>>()?,
        })
    }
}

impl Kernel for AsOfOn {
    const NAME: &'static str = "AsOfJoinExec";
    const KEEPS_ROWS: bool = true;

    fn schema(&self, inputs: &[SchemaRef]) -> SchemaRef {
        let left = inputs[0].fields().iter().map(Arc::clone);
        let right = inputs[1].fields().iter();
        let right = right.map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        Arc::new(Schema::new(left.chain(right).collect::<Vec<_>>()))
    }

    fn stamps(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.stamps.0, &self.stamps.1]
    }

    fn keys(&self) -> Vec<Vec<&Arc<dyn PhysicalExpr>>> {
        self.keys.iter().map(|(left, right)| vec![left, right]).collect()
    }

    fn expressions(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        let pairs = std::iter::once(&self.stamps).chain(&self.keys);
        pairs.flat_map(|(left, right)| [left, right]).collect()
    }

    fn ordering(&self) -> Option<LexOrdering> {
        None
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = &self.stamps;
        write!(f, "{left} {} {right}", comparison(self.side))?;
        if let Some(tolerance) = self.tolerance {
            write!(f, ", tolerance={tolerance}")?;
        }
        self.keys.iter().try_for_each(|(left, right)| write!(f, ", {left} = {right}"))
    }

    fn start(
        &self,
        mut inputs: Vec<SendableRecordBatchStream>,
        output: Output<'_>,
    ) -> Result<SendableRecordBatchStream> {
        let right = inputs.remove(1);
        stream::merge(inputs.remove(0), right, self, output)
    }
}
