//! Pairing as a node of the logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::keys::require_key;
use crate::stamp::stamp_type;

/// Which of its keys a frame is paired by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub enum KeyRule {
    /// The one that was named: an event without it is left out.
    Given,
    /// In each group the first that the first event of either stage has, and the order of the frames where they share
    /// none: as `bl align` does it.
    Best,
}

/// Which events are paired.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct PairWhat {
    /// Stage where a frame's time begins.
    pub stage_a: String,
    /// Stage where it ends.
    pub stage_b: String,
    /// Longest time between the two.
    pub window_ns: i64,
    /// By which key.
    pub key: KeyRule,
    /// What the keys are called, as `paired_by` says them.
    pub key_names: Vec<String>,
    /// Whether frames that never reached `stage_b` are rows too.
    pub with_drops: bool,
}

/// Every `stage_a` event of the input, in order of time (where it is worked on in partitions, in each of them), with all
/// its columns and four more: `latency_ns` (BIGINT; null where the frame was dropped), `dropped` (BOOLEAN; null where
/// nobody can tell), and as table `latency` has them `paired_by` (the name of the key, or `order`; null where no event of
/// the other stage was there) and `confidence` (DOUBLE, 0 to 1: the probability that the row is true as it is told).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PairStages {
    /// Events of any stages.
    pub input: Arc<LogicalPlan>,
    /// What is paired.
    pub what: PairWhat,
    /// Time of an event: TIMESTAMP, DATE, TIME or DURATION, or whole nanoseconds.
    pub ts: Expr,
    /// Name of its stage.
    pub stage: Expr,
    /// What identifies its frame, best first: of any type but floats. One where it is [`KeyRule::Given`], else at most
    /// [`MAX_KEYS`](bl_align::pair::MAX_KEYS).
    pub keys: Vec<Expr>,
    /// Events pair only where all of these are equal.
    pub groups: Vec<Expr>,
    schema: DFSchemaRef,
}

impl PairStages {
    /// A node over events.
    ///
    /// # Errors
    /// When the input has a column of one of the four names without a qualifier already, where `ts` is no stamp, and where
    /// a key is of a type whose values are not told apart.
    pub fn try_new(
        input: Arc<LogicalPlan>,
        what: PairWhat,
        ts: Expr,
        stage: Expr,
        keys: Vec<Expr>,
        groups: Vec<Expr>,
    ) -> Result<Self> {
        stamp_type(&ts, input.schema())?;
        keys.iter().try_for_each(|key| require_key(key, input.schema()))?;
        let added = added_fields().map(|field| (None, Arc::new(field)));
        let fields = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).chain(added);
        let schema = DFSchema::new_with_metadata(fields.collect(), Default::default())?;
        Ok(PairStages { input, what, ts, stage, keys, groups, schema: Arc::new(schema) })
    }
}

/// The columns that pairing adds.
pub(super) fn added_fields() -> [Field; 4] {
    let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    [
        Field::new("latency_ns", DataType::Int64, true),
        Field::new("dropped", DataType::Boolean, true),
        Field::new("paired_by", words, true),
        Field::new("confidence", DataType::Float64, true),
    ]
}

impl PartialOrd for PairStages {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let parts = |node: &Self| (node.what.clone(), node.expressions());
        match parts(self).partial_cmp(&parts(other)) {
            Some(Ordering::Equal) => (self == other).then_some(Ordering::Equal),
            unequal => unequal,
        }
    }
}

impl UserDefinedLogicalNodeCore for PairStages {
    fn name(&self) -> &str {
        "PairStages"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let first = [self.ts.clone(), self.stage.clone()];
        first.into_iter().chain(self.keys.clone()).chain(self.groups.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let PairWhat { stage_a, stage_b, window_ns, .. } = &self.what;
        write!(f, "PairStages: {stage_a} -> {stage_b}, window_ns={window_ns}")
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        let (Some(ts), Some(stage), Some(input)) = (exprs.next(), exprs.next(), inputs.pop())
        else {
            return internal_err!("pairing has one input, its time and its stage");
        };
        let keys = exprs.by_ref().take(self.keys.len()).collect();
        let groups = exprs.collect();
        Self::try_new(Arc::new(input), self.what.clone(), ts, stage, keys, groups)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < width).collect()])
    }
}
