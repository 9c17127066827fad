//! `as_of(relation => …, series => …)`: every row of a relation with what a series is at its time.
//!
//! It says what `ASOF JOIN` has no words for: the nearest row on either side, and the value on the line between the two.

use std::sync::Arc;

use bl_align::DEFAULT_TOLERANCE_NS;
use bl_align::as_of::Side;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Column, DFSchema, Result, TableReference, plan_err};
use datafusion::logical_expr::expr_fn::{cast, when};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::TableFunctionArgs;

use super::arguments::{Arguments, existing};
use super::tables::extension;
use crate::asof::{AsOfJoin, of_one_type};
use crate::stamp::{nanoseconds_of, stamp_type};

const AS_OF: &[&str] = &["relation", "series", "method", "ts", "series_ts", "key", "tolerance_ms"];

/// Names that a join needs within; no table or column of a person is called so.
const BEFORE: &str = "as of: at or before";
const AFTER: &str = "as of: at or after";
const STAMP: &str = "as of: stamp";

/// Plans a call.
pub(super) fn plan(
    args: TableFunctionArgs,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let mut args = Arguments::read("as_of", AS_OF, args)?;
    let methods = [("nearest", Method::Nearest), ("interpolate", Method::Interpolate)];
    let method = args.choice("method", &methods, context)?;
    let tolerance_ns = args.milliseconds("tolerance_ms", DEFAULT_TOLERANCE_NS, context)?;
    let input = args.relation("relation", context)?;
    let series = args.relation("series", context)?;
    let schema = Arc::clone(input.schema());
    let ts = args.column("ts", &["ts", "ts_ns"], &schema, context)?;
    let series_ts = args.column("series_ts", &["ts", "ts_ns"], series.schema(), context)?;
    stamp_type(&ts, &schema)?;
    stamp_type(&series_ts, series.schema())?;
    let keys = args.columns("key", &schema, context)?.unwrap_or_default();
    let keys = keys.into_iter().map(|key| of_both(key, &schema, series.schema()));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let call = Call { input, series, ts, series_ts, keys, tolerance_ns };
    match method {
        Method::Nearest => call.nearest(),
        Method::Interpolate => call.interpolated(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Nearest,
    Interpolate,
}

/// A key of the relation, and the column of that name in the series.
fn of_both(key: Expr, schema: &DFSchema, series: &DFSchema) -> Result<(Expr, Expr)> {
    let Expr::Column(column) = &key else {
        return plan_err!("as_of: a key is a column of both sides, not {key}");
    };
    let Some(other) = existing(&[&column.name], series).into_iter().next() else {
        return plan_err!(
            "as_of: the series has no column {0}: a key has one name on both sides",
            column.name
        );
    };
    of_one_type((key, schema), (other, series))
}

struct Call {
    input: LogicalPlan,
    series: LogicalPlan,
    ts: Expr,
    series_ts: Expr,
    /// Each of the relation and of the series.
    keys: Vec<(Expr, Expr)>,
    tolerance_ns: i64,
}

impl Call {
    /// All columns of the series' nearest row.
    fn nearest(self) -> Result<LogicalPlan> {
        let columns = self.columns(|_| true);
        let joined = self.join(self.input.clone(), BEFORE, Side::Nearest)?;
        let found = columns.into_iter().map(|(column, name)| column.of(BEFORE).alias(name));
        self.with(joined, found.collect())
    }

    /// The numbers of the series on the line between the two rows around each instant.
    fn interpolated(self) -> Result<LogicalPlan> {
        let columns = self.columns(|column| {
            let is_stamp =
                matches!(&self.series_ts, Expr::Column(stamp) if stamp.name == *column.name());
            column.data_type().is_numeric() && !is_stamp
        });
        if columns.is_empty() {
            return plan_err!("as_of: the series has no column of numbers to interpolate");
        }
        let joined = self.join(self.input.clone(), BEFORE, Side::AtOrBefore)?;
        let joined = self.join(joined, AFTER, Side::AtOrAfter)?;
        let stamp = |of: &str| nanoseconds_of(named(of, STAMP), joined.schema());
        let (before, after) = (stamp(BEFORE)?, stamp(AFTER)?);
        let at = nanoseconds_of(self.ts.clone(), joined.schema())?;
        let (from_before, to_after) = (at.clone() - before.clone(), after.clone() - at.clone());
        // Each of the two is within the tolerance, so that nothing overflows.
        let is_no_gap = to_after.lt_eq(lit(self.tolerance_ns) - from_before.clone());
        let float = |expr| cast(expr, DataType::Float64);
        let share = float(from_before) / float(after - before.clone());
        let found = columns.into_iter().map(|(column, name)| {
            let (low, high) = (float(column.of(BEFORE)), float(column.of(AFTER)));
            let between = low.clone() + (high - low.clone()) * share.clone();
            let value =
                when(before.clone().eq(at.clone()), low).when(is_no_gap.clone(), between).end()?;
            Ok(value.alias(name))
        });
        let found = found.collect::<Result<Vec<_>>>()?;
        self.with(joined, found)
    }

    /// Some columns of the series that are no keys, and what they are called beside those of the relation.
    fn columns(&self, is_wanted: impl Fn(&FieldRef) -> bool) -> Vec<(SeriesColumn, String)> {
        let taken =
            |name: &str| self.input.schema().fields().iter().any(|field| field.name() == name);
        let is_key = |name: &str| {
            self.keys
                .iter()
                .any(|(_, key)| key.column_refs().iter().any(|column| column.name == name))
        };
        let fields = self.series.schema().fields().iter().filter(|field| !is_key(field.name()));
        let named = fields.filter(|field| is_wanted(field)).map(|field| {
            let name = field.name().clone();
            let shown = if taken(&name) { format!("series_{name}") } else { name.clone() };
            (SeriesColumn(name), shown)
        });
        named.collect()
    }

    /// Every row of `left` with a row of the series, whose columns are then those of `alias`.
    fn join(&self, left: LogicalPlan, alias: &str, side: Side) -> Result<LogicalPlan> {
        let all = self.series.schema().columns().into_iter();
        let columns = all.map(|column| {
            let name = column.name.clone();
            Expr::Column(column).alias(name)
        });
        let keys = self.keys.iter().enumerate();
        let keys = keys.map(|(at, (_, key))| key.clone().alias(key_name(at)));
        let stamp = self.series_ts.clone().alias(STAMP);
        let right = LogicalPlanBuilder::from(self.series.clone())
            .project(columns.chain([stamp]).chain(keys))?
            .alias(TableReference::bare(alias))?
            .build()?;
        let pairs = self.keys.iter().enumerate();
        let pairs = pairs.map(|(at, (key, _))| (key.clone(), named(alias, &key_name(at))));
        let stamps = (self.ts.clone(), named(alias, STAMP));
        Ok(extension(AsOfJoin::try_new(
            Arc::new(left),
            Arc::new(right),
            stamps,
            side,
            Some(self.tolerance_ns),
            pairs.collect(),
        )?))
    }

    /// The relation's own columns and what was found for them.
    fn with(&self, joined: LogicalPlan, found: Vec<Expr>) -> Result<LogicalPlan> {
        let own = self.input.schema().columns().into_iter().map(Expr::Column);
        LogicalPlanBuilder::from(joined).project(own.chain(found))?.build()
    }
}

fn key_name(at: usize) -> String {
    format!("as of: key {at}")
}

fn named(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(relation)), name))
}

/// A column of the series by its name.
struct SeriesColumn(String);

impl SeriesColumn {
    fn of(&self, alias: &str) -> Expr {
        named(alias, &self.0)
    }
}

#[cfg(test)]
#[path = "as_of_tests.rs"]
mod tests;
