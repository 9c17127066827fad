//! Reads a `MATCH_CONDITION`: which stamps are compared, on which side, and how far apart they may be.

use bl_align::as_of::Side;
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::stamp::{nanoseconds_in, stamp_type};

/// What a `MATCH_CONDITION` says.
#[derive(Debug)]
pub(super) struct MatchCondition {
    /// Stamp of a left row, over the left columns only.
    pub left: Expr,
    /// Stamp of a right row, over the right columns only; of the same kind of type as `left`.
    pub right: Expr,
    pub side: Side,
    /// Largest distance of the two in nanoseconds.
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
        let kind = Kind::common(&stamp_type(&l, left)?, &stamp_type(&r, right)?)?;
        let mut tolerance = None;
        for term in terms {
            let bound = bound_of(&term, &l, &r, side, kind)?;
            tolerance = Some(tolerance.map_or(bound, |other: i64| other.min(bound)));
        }
        let (l, r) = in_one_zone((l, left), (r, right))?;
        Ok(MatchCondition { left: l, right: r, side, tolerance })
    }
}

/// What a stamp counts. Two of one kind are compared in nanoseconds, whatever the unit of each, so that neither the
/// comparison nor a distance is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Instant,
    Duration,
    TimeOfDay,
    /// A whole number of a unit that nobody told.
    Number,
}

impl Kind {
    fn of(stamp_type: &DataType) -> Self {
        match stamp_type {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Kind::Instant,
            DataType::Duration(_) => Kind::Duration,
            DataType::Time32(_) | DataType::Time64(_) => Kind::TimeOfDay,
            _ => Kind::Number,
        }
    }

    fn common(left: &DataType, right: &DataType) -> Result<Self> {
        if Kind::of(left) != Kind::of(right) {
            return plan_err!(
                "MATCH_CONDITION compares stamps of type {left} and {right}; cast both to TIMESTAMP or to \
                 BIGINT"
            );
        }
        Ok(Kind::of(left))
    }
}

/// An instant without a zone that is compared with one in a zone is meant in that zone, as in every comparison of SQL.
fn in_one_zone(
    (l, left): (Expr, &DFSchema),
    (r, right): (Expr, &DFSchema),
) -> Result<(Expr, Expr)> {
    let (left_type, right_type) = (l.get_type(left)?, r.get_type(right)?);
    let placed = |of: &DataType, other: &DataType| match (of, other) {
        (_, DataType::Timestamp(_, Some(zone))) if matches!(zone.as_ref(), "UTC" | "+00:00") => {
            None
        }
        (DataType::Timestamp(unit, None), DataType::Timestamp(_, zone @ Some(_))) => {
            Some(DataType::Timestamp(*unit, zone.clone()))
        }
        (DataType::Date32 | DataType::Date64, DataType::Timestamp(_, zone @ Some(_))) => {
            Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))
        }
        _ => None,
    };
    Ok(match (placed(&left_type, &right_type), placed(&right_type, &left_type)) {
        (Some(to), _) => (l.cast_to(&to, left)?, r),
        (_, Some(to)) => (l, r.cast_to(&to, right)?),
        _ => (l, r),
    })
}

/// The largest distance that `term` allows: one of `l - r <= c`, `l - c <= r`, `l <= r + c` or the same
/// turned round, where `l` is the later stamp.
fn bound_of(term: &Expr, l: &Expr, r: &Expr, side: Side, kind: Kind) -> Result<i64> {
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
    let bound = most(constant, strict, kind)?;
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

/// The largest whole number that is at most a constant, or below it where the bound is strict: of nanoseconds, given as
/// an interval, where the stamps are temporal.
fn most(constant: Expr, strict: bool, kind: Kind) -> Result<i64> {
    let shown = constant.to_string();
    let simplifier = ExprSimplifier::new(SimplifyContext::default());
    let coerced = simplifier.coerce(constant, &DFSchema::empty())?;
    let Expr::Literal(value, _) = simplifier.simplify(coerced)? else {
        return plan_err!("the tolerance of a MATCH_CONDITION must be a constant, not {shown}");
    };
    let of_type = value.data_type();
    let whole = match of_type {
        DataType::Interval(_) if kind != Kind::Number => interval_ns(&value),
        DataType::Duration(unit) if kind != Kind::Number => {
            match value.cast_to(&DataType::Int64)? {
                ScalarValue::Int64(Some(units)) => units.checked_mul(nanoseconds_in(unit)),
                _ => None,
            }
        }
        _ if kind == Kind::Number && of_type.is_integer() => whole_number(&value),
        _ if kind == Kind::Number && of_type.is_numeric() => {
            return match value.cast_to(&DataType::Float64)? {
                ScalarValue::Float64(Some(number)) if !number.is_nan() => {
                    Ok(if strict { number.ceil() - 1.0 } else { number.floor() } as i64)
                }
                _ => plan_err!("the tolerance of a MATCH_CONDITION must be a number, not {shown}"),
            };
        }
        _ => None,
    };
    match whole {
        Some(whole) => Ok(if strict { whole.saturating_sub(1) } else { whole }),
        None if kind == Kind::Number => plan_err!(
            "the stamps of the MATCH_CONDITION are numbers, so its tolerance must be one, not {shown}"
        ),
        None => plan_err!(
            "the tolerance of a MATCH_CONDITION over time must be an interval without months, like \
             INTERVAL '200 milliseconds', not {shown}"
        ),
    }
}

fn whole_number(value: &ScalarValue) -> Option<i64> {
    match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}

fn interval_ns(value: &ScalarValue) -> Option<i64> {
    let whole = value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = whole else { return None };
    let days = i64::from(interval.days).checked_mul(86_400_000_000_000)?;
    (interval.months == 0).then_some(days.checked_add(interval.nanoseconds)?)
}
