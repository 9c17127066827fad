//! Reads a `MATCH_CONDITION`: which stamps are compared, on which side, and how far apart they may be.

use bl_align::as_of::Side;
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion::logical_expr_common::type_coercion::binary::comparison_coercion;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// What a `MATCH_CONDITION` says.
#[derive(Debug)]
pub(super) struct MatchCondition {
    /// Stamp of a left row, over the left columns only.
    pub left: Expr,
    /// Stamp of a right row, over the right columns only; of the same type as `left`.
    pub right: Expr,
    pub side: Side,
    /// Largest distance of the two, in the unit of their type.
    pub tolerance: Option<i64>,
}

/// Which inputs an expression draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Left,
    Right,
    Both,
    Constant,
}

/// Tells from which of two inputs the columns of an expression come.
pub(super) fn source_of(expr: &Expr, left: &DFSchema, right: &DFSchema) -> Source {
    let columns = expr.column_refs();
    let of_left = columns.iter().any(|column| left.has_column(column));
    let of_right =
        columns.iter().any(|column| !left.has_column(column) && right.has_column(column));
    match (of_left, of_right) {
        (true, false) => Source::Left,
        (false, true) => Source::Right,
        (true, true) => Source::Both,
        (false, false) => Source::Constant,
    }
}

impl MatchCondition {
    /// Reads `l >= r` with `l` of the left input and `r` of the right (or turned round), and after it any
    /// number of bounds `l - r <= constant`.
    pub(super) fn read(condition: Expr, left: &DFSchema, right: &DFSchema) -> Result<Self> {
        let mut terms = split_conjunction_owned(condition).into_iter();
        let Some(Expr::BinaryExpr(first)) = terms.next() else {
            return plan_err!(
                "MATCH_CONDITION must begin with a comparison of a left with a right stamp, like \
                 (a.ts >= b.ts)"
            );
        };
        let (l, operator, r) = match (
            source_of(&first.left, left, right),
            source_of(&first.right, left, right),
        ) {
            (Source::Left, Source::Right) => (*first.left, Some(first.op), *first.right),
            (Source::Right, Source::Left) => (*first.right, first.op.swap(), *first.left),
            _ => {
                return plan_err!(
                    "MATCH_CONDITION must compare a stamp of the left table with one of the right, \
                     like (a.ts >= b.ts); found {first}"
                );
            }
        };
        let side = match operator {
            Some(Operator::GtEq) => Side::AtOrBefore,
            Some(Operator::Gt) => Side::Before,
            Some(Operator::LtEq) => Side::AtOrAfter,
            Some(Operator::Lt) => Side::After,
            _ => {
                return plan_err!(
                    "MATCH_CONDITION compares with >=, >, <= or <, not with {}",
                    first.op
                );
            }
        };
        let (left_type, right_type) = (l.get_type(left)?, r.get_type(right)?);
        let stamp_type = stamp_type(&left_type, &right_type)?;
        let mut tolerance = None;
        for term in terms {
            let bound = bound_of(&term, &l, &r, side, &stamp_type)?;
            tolerance = Some(tolerance.map_or(bound, |other: i64| other.min(bound)));
        }
        let (l, r) = (l.cast_to(&stamp_type, left)?, r.cast_to(&stamp_type, right)?);
        Ok(MatchCondition { left: l, right: r, side, tolerance })
    }
}

/// The type in which both stamps are compared. Only types that are a whole number of some unit, so that
/// neither the comparison nor a distance is rounded.
fn stamp_type(left: &DataType, right: &DataType) -> Result<DataType> {
    let common = if left.is_integer() && right.is_integer() {
        Some(DataType::Int64)
    } else {
        comparison_coercion(left, right)
    };
    match common {
        Some(
            stamp @ (DataType::Int64
            | DataType::Timestamp(..)
            | DataType::Duration(_)
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Date32
            | DataType::Date64),
        ) => Ok(stamp),
        _ => plan_err!(
            "MATCH_CONDITION compares stamps of type {left} and {right}; cast both to TIMESTAMP or to \
             BIGINT"
        ),
    }
}

/// The largest distance that `term` allows: one of `l - r <= c`, `l - c <= r`, `l <= r + c` or the same
/// turned round, where `l` is the later stamp.
fn bound_of(term: &Expr, l: &Expr, r: &Expr, side: Side, stamp_type: &DataType) -> Result<i64> {
    let (later, earlier) = match side {
        Side::AtOrBefore | Side::Before | Side::Nearest => (l, r),
        Side::AtOrAfter | Side::After => (r, l),
    };
    let refused = || {
        plan_err!(
            "MATCH_CONDITION may bound the distance by ({later} - {earlier} <= constant); other conditions, \
             like {term}, belong into WHERE or into a subquery"
        )
    };
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = term else { return refused() };
    let (small, large, strict) = match op {
        Operator::LtEq => (left, right, false),
        Operator::Lt => (left, right, true),
        Operator::GtEq => (right, left, false),
        Operator::Gt => (right, left, true),
        _ => return refused(),
    };
    let constant = match (minus(small), plus(large)) {
        (Some((a, b)), _) if a == later && b == earlier => large.as_ref().clone(),
        (Some((a, c)), _) if a == later && large.as_ref() == earlier => c.clone(),
        (_, Some((b, c))) if small.as_ref() == later && b == earlier => c.clone(),
        (_, Some((c, b))) if small.as_ref() == later && b == earlier => c.clone(),
        _ => return refused(),
    };
    let distance = distance(constant, stamp_type)?;
    let bound = if strict { distance - 1 } else { distance };
    if bound < 0 {
        return plan_err!("the tolerance in {term} is below zero: no row can be matched");
    }
    Ok(bound)
}

fn minus(expr: &Expr) -> Option<(&Expr, &Expr)> {
    operands(expr, Operator::Minus)
}

fn plus(expr: &Expr) -> Option<(&Expr, &Expr)> {
    operands(expr, Operator::Plus)
}

fn operands(expr: &Expr, operator: Operator) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == operator => Some((left, right)),
        _ => None,
    }
}

/// A constant as a number of units of the stamps: an interval for temporal stamps, a number for others.
fn distance(constant: Expr, stamp_type: &DataType) -> Result<i64> {
    let shown = constant.to_string();
    let simplifier = ExprSimplifier::new(SimplifyContext::default());
    let coerced = simplifier.coerce(constant, &DFSchema::empty())?;
    let Expr::Literal(value, _) = simplifier.simplify(coerced)? else {
        return plan_err!("the tolerance of a MATCH_CONDITION must be a constant, not {shown}");
    };
    let unit_ns = match stamp_type {
        DataType::Timestamp(unit, _)
        | DataType::Duration(unit)
        | DataType::Time32(unit)
        | DataType::Time64(unit) => nanoseconds(*unit),
        DataType::Date32 => 86_400_000_000_000,
        DataType::Date64 => 1_000_000,
        _ => {
            return match value.cast_to(&DataType::Int64)? {
                ScalarValue::Int64(Some(units)) if value.data_type().is_numeric() => Ok(units),
                _ => plan_err!(
                    "the stamps of the MATCH_CONDITION are numbers, so its tolerance must be one, not {shown}"
                ),
            };
        }
    };
    let ns = match value.data_type() {
        DataType::Interval(_) => interval_ns(&value),
        DataType::Duration(unit) => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(units)) => units.checked_mul(nanoseconds(unit)),
            _ => None,
        },
        _ => None,
    };
    match ns {
        Some(ns) => Ok(ns / unit_ns),
        None => plan_err!(
            "the tolerance of a MATCH_CONDITION over {stamp_type} must be an interval without months, like \
             INTERVAL '200 milliseconds', not {shown}"
        ),
    }
}

fn interval_ns(value: &ScalarValue) -> Option<i64> {
    let whole = value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = whole else { return None };
    let days = i64::from(interval.days).checked_mul(86_400_000_000_000)?;
    (interval.months == 0).then_some(days.checked_add(interval.nanoseconds)?)
}

fn nanoseconds(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}
