//! Ranges of stamps: what a filter of the one side says of the stamps that the other side needs.

use bl_align::as_of::Side;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, lit};

/// The stamps that pass some filters, in nanoseconds, or in the numbers that they are. Ends that do not pass themselves
/// may be in it.
pub(super) struct Range {
    stamp: Expr,
    /// None where filters of the stamp say nothing: only a column counts, of nanoseconds or numbers, and what casts
    /// between those make of it, as they keep the order.
    column: Option<Column>,
    from: Option<i64>,
    to: Option<i64>,
}

impl Range {
    /// That of a stamp that is not filtered yet.
    pub fn of(stamp: &Expr, schema: &DFSchema) -> Self {
        Self { stamp: stamp.clone(), column: innermost(stamp, schema), from: None, to: None }
    }

    /// Takes a filter into account.
    pub fn narrow(&mut self, term: &Expr) {
        match term {
            Expr::Between(between) if !between.negated && self.is_column(&between.expr) => {
                self.bound(Operator::GtEq, &between.low);
                self.bound(Operator::LtEq, &between.high);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if self.is_column(left) => {
                self.bound(*op, right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if self.is_column(right) => {
                if let Some(op) = op.swap() {
                    self.bound(op, left);
                }
            }
            _ => {}
        }
    }

    /// The right stamps that left ones of this range can match, as a filter.
    pub fn matches(
        &self,
        side: Side,
        tolerance: Option<i64>,
        stamp: &Expr,
        schema: &DFSchema,
    ) -> Result<Vec<Expr>> {
        let less = |from: Option<i64>| Some(from?.saturating_sub(tolerance?));
        let more = |to: Option<i64>| Some(to?.saturating_add(tolerance?));
        let (from, to) = match side {
            Side::AtOrBefore | Side::Before => (less(self.from), self.to),
            Side::AtOrAfter | Side::After => (self.from, more(self.to)),
            Side::Nearest => (less(self.from), more(self.to)),
        };
        let (from, to) = (at(from, stamp, schema)?, at(to, stamp, schema)?);
        let from = from.map(|(stamp, from)| stamp.gt_eq(from));
        Ok(from.into_iter().chain(to.map(|(stamp, to)| stamp.lt_eq(to))).collect())
    }

    /// The samples that spans of time need which begin in this range, as a filter.
    pub fn needed_since(
        &self,
        tolerance_ns: i64,
        stamp: &Expr,
        schema: &DFSchema,
    ) -> Result<Option<Expr>> {
        let from = self.from.map(|from| from.saturating_sub(tolerance_ns.max(0)));
        Ok(at(from, stamp, schema)?.map(|(stamp, from)| stamp.gt_eq(from)))
    }

    fn is_column(&self, expr: &Expr) -> bool {
        matches!((expr, &self.column), (Expr::Column(found), Some(column)) if found == column)
    }

    fn bound(&mut self, op: Operator, bound: &Expr) {
        let Expr::Literal(value, _) = bound else { return };
        if !is_ns(&value.data_type()) {
            return;
        }
        let Some(bound) = through_casts(&self.stamp, value).as_ref().and_then(number) else {
            return;
        };
        let from = matches!(op, Operator::GtEq | Operator::Gt | Operator::Eq);
        let to = matches!(op, Operator::LtEq | Operator::Lt | Operator::Eq);
        if from {
            self.from = Some(self.from.map_or(bound, |other| other.max(bound)));
        }
        if to {
            self.to = Some(self.to.map_or(bound, |other| other.min(bound)));
        }
    }
}

/// The column that a stamp is made of.
fn innermost(stamp: &Expr, schema: &DFSchema) -> Option<Column> {
    let to = stamp.get_type(schema).ok().filter(is_ns)?;
    match stamp {
        Expr::Column(column) => Some(column.clone()),
        // What gives a zone to a stamp without one moves it, in autumn backwards.
        Expr::Cast(cast) => match (cast.expr.get_type(schema).ok()?, to) {
            (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_)))
            | (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => None,
            _ => innermost(&cast.expr, schema),
        },
        _ => None,
    }
}

/// What the casts of a stamp make of a value of its column.
fn through_casts(stamp: &Expr, value: &ScalarValue) -> Option<ScalarValue> {
    match stamp {
        Expr::Column(_) => Some(value.clone()),
        Expr::Cast(cast) => through_casts(&cast.expr, value)?.cast_to(cast.field.data_type()).ok(),
        _ => None,
    }
}

fn number(value: &ScalarValue) -> Option<i64> {
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(number) => number,
        _ => None,
    }
}

fn is_ns(of: &DataType) -> bool {
    matches!(of, DataType::Int64 | DataType::Timestamp(TimeUnit::Nanosecond, _))
}

/// A stamp and an instant to compare it with. Instants that are cast to nanoseconds are compared as such: that is what
/// files have statistics of.
fn at(instant: Option<i64>, stamp: &Expr, schema: &DFSchema) -> Result<Option<(Expr, Expr)>> {
    let Some(instant) = instant.filter(|_| innermost(stamp, schema).is_some()) else {
        return Ok(None);
    };
    let stamp = match stamp {
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Int64 => {
            match cast.expr.get_type(schema)? {
                DataType::Timestamp(TimeUnit::Nanosecond, _) => cast.expr.as_ref(),
                _ => stamp,
            }
        }
        other => other,
    };
    let value = ScalarValue::Int64(Some(instant)).cast_to(&stamp.get_type(schema)?)?;
    Ok(Some((stamp.clone(), lit(value))))
}
