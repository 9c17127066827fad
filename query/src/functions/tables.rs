//! The table functions: each expands to plan nodes that hold parameters and child plans.

use std::sync::Arc;

use bl_align::DEFAULT_TOLERANCE_NS;
use bl_align::as_of::Side;
use bl_align::pair::{DEFAULT_WINDOW_NS, MAX_KEYS};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::sql::sqlparser::ast::{ObjectName, TableFactor, TableFunctionArgs};

use super::arguments::{Arguments, existing};
use super::as_of;
use crate::asof::{AsOfJoin, of_one_type};
use crate::energy::{Energy, EnergyWhat};
use crate::pair::{KeyRule, PairStages, PairWhat};
use crate::stamp::{name_of, nanoseconds_of, require_number, stamp_type};

const PAIR: &[&str] =
    &["stage_a", "stage_b", "relation", "ts", "stage", "key", "group", "window_ms", "drops"];
const ENERGY: &[&str] = &[
    "relation",
    "from",
    "to",
    "by",
    "power",
    "power_ts",
    "power_w",
    "method",
    "gaps",
    "tolerance_ms",
];
const LATENCY: &[&str] = &[
    "stage_a",
    "stage_b",
    "relation",
    "ts",
    "stage",
    "key",
    "group",
    "window_ms",
    "drops",
    "power",
    "power_ts",
    "power_w",
    "cpu_w",
    "gpu_w",
    "power_err_ns",
    "method",
    "gaps",
    "tolerance_ms",
];

/// Which of the functions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Pair,
    Energy,
    Latency,
    AsOf,
}

/// The function of this name, if it is one of ours.
pub(super) fn named(name: &ObjectName) -> Option<Function> {
    match name.to_string().to_lowercase().as_str() {
        "pair" => Some(Function::Pair),
        "energy" => Some(Function::Energy),
        "latency" => Some(Function::Latency),
        "as_of" => Some(Function::AsOf),
        _ => None,
    }
}

impl Function {
    /// The arguments that are relations, and the tables of the store that they are without being given.
    pub(super) fn relations(self) -> &'static [(&'static str, Option<&'static str>)] {
        match self {
            Function::Pair => &[("relation", Some("pipeline"))],
            Function::Energy => &[("relation", None), ("power", Some("benchlab"))],
            Function::Latency => &[("relation", None), ("power", Some("benchlab"))],
            Function::AsOf => &[("relation", None), ("series", Some("benchlab"))],
        }
    }
}

/// Plans calls of the table functions.
#[derive(Debug)]
pub(crate) struct TableFunctions;

impl RelationPlanner for TableFunctions {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (function, alias, args) = match relation {
            TableFactor::Table { name, alias, args: Some(args), .. } if named(&name).is_some() => {
                (named(&name), alias, args)
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let plan = match function {
            Some(Function::Pair) => plan_pair(args, context)?,
            Some(Function::Energy) => plan_energy(args, context)?,
            Some(Function::Latency) => plan_latency(args, context)?,
            Some(Function::AsOf) => as_of::plan(args, context)?,
            None => return plan_err!("no such table function"),
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

pub(super) fn extension(
    node: impl datafusion::logical_expr::UserDefinedLogicalNodeCore,
) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

fn plan_pair(
    args: TableFunctionArgs,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    Ok(extension(pair(&mut Arguments::read("pair", PAIR, args)?, context)?))
}

fn pair(args: &mut Arguments, context: &mut dyn RelationPlannerContext) -> Result<PairStages> {
    let stage_a = args.required_text("stage_a", context)?;
    let stage_b = args.required_text("stage_b", context)?;
    let window_ns = args.milliseconds("window_ms", DEFAULT_WINDOW_NS, context)?;
    let with_drops = args.boolean("drops", true, context)?;
    let input = args.relation("relation", context)?;
    let schema = Arc::clone(input.schema());
    let ts = args.column("ts", &["ts", "ts_ns"], &schema, context)?;
    let stage = args.column("stage", &["stage"], &schema, context)?;
    let given = args.columns("key", &schema, context)?;
    let key = match &given {
        Some(keys) if keys.len() == 1 => KeyRule::Given,
        _ => KeyRule::Best,
    };
    let keys = given.unwrap_or_else(|| existing(&["frame", "key_ns", "pts_ns"], &schema));
    if keys.len() > MAX_KEYS {
        return plan_err!("pair: a frame has at most {MAX_KEYS} keys, not {}", keys.len());
    }
    let groups = args.columns("group", &schema, context)?;
    let groups = groups.unwrap_or_else(|| existing(&["session", "pipeline"], &schema));
    let key_names = keys.iter().map(name_of).collect();
    let what = PairWhat { stage_a, stage_b, window_ns, key, key_names, with_drops };
    PairStages::try_new(Arc::new(input), what, ts, stage, keys, groups)
}

fn energy_what(
    args: &mut Arguments,
    context: &mut dyn RelationPlannerContext,
) -> Result<EnergyWhat> {
    Ok(EnergyWhat {
        is_held: args.choice("method", &[("trapezoid", false), ("hold", true)], context)?,
        bridges_gaps: args.choice("gaps", &[("null", false), ("bridge", true)], context)?,
        tolerance_ns: args.milliseconds("tolerance_ms", DEFAULT_TOLERANCE_NS, context)?,
    })
}

/// Power samples reduced to time and watts.
struct Power {
    plan: LogicalPlan,
    ts: Expr,
    watts: Expr,
}

fn power(args: &mut Arguments, context: &mut dyn RelationPlannerContext) -> Result<Power> {
    let plan = args.relation("power", context)?;
    let schema = Arc::clone(plan.schema());
    let ts = args.column("power_ts", &["ts", "ts_ns"], &schema, context)?;
    stamp_type(&ts, &schema)?;
    let watts = args.column("power_w", &["sys_w", "power_w"], &schema, context)?;
    require_number(&watts, &schema, "power in watts")?;
    Ok(Power { plan, ts, watts })
}

fn plan_energy(
    args: TableFunctionArgs,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let mut args = Arguments::read("energy", ENERGY, args)?;
    let what = energy_what(&mut args, context)?;
    let input = args.relation("relation", context)?;
    let schema = Arc::clone(input.schema());
    let from = args.column("from", &[], &schema, context)?;
    let to = args.column("to", &[], &schema, context)?;
    let Power { plan, ts, watts } = power(&mut args, context)?;
    // Sessions are never mixed where both tell them.
    let of_session = || match existing(&["session"], plan.schema()).is_empty() {
        true => Vec::new(),
        false => existing(&["session"], &schema),
    };
    let by = args.columns("by", &schema, context)?.unwrap_or_else(of_session);
    let keys = by.into_iter().map(|of_row| same_name(of_row, &schema, plan.schema()));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let apart = apart(&keys, plan.schema());
    let (input, plan) = (Arc::new(input), Arc::new(plan));
    let energy = Energy::try_new(input, plan, what, (from, to), (ts, watts))?;
    Ok(extension(energy.by(keys).apart(apart)))
}

/// What tells the meters of power samples apart, beside the keys.
fn apart(keys: &[(Expr, Expr)], power: &DFSchema) -> Vec<Expr> {
    let is_key = |expr: &Expr| keys.iter().any(|(_, key)| key.column_refs() == expr.column_refs());
    let all = ["session", "device_uid", "power_session", "power_device_uid"];
    let all = existing(&all, power);
    all.into_iter().filter(|expr| !is_key(expr)).collect()
}

/// A column of the rows, and that of its name of the power samples.
fn same_name(of_row: Expr, rows: &DFSchema, power: &DFSchema) -> Result<(Expr, Expr)> {
    let Some(name) = of_row.try_as_col().map(|column| column.name.clone()) else {
        return plan_err!("energy: by => takes names of columns, not {of_row}");
    };
    match existing(&[&name], power).pop() {
        Some(of_sample) => of_one_type((of_row, rows), (of_sample, power)),
        None => plan_err!("energy: by => {name} is no column of the power samples"),
    }
}

/// Pairs, the power sample at or before each, and the energy between the two events, as table `latency`.
fn plan_latency(
    args: TableFunctionArgs,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let mut args = Arguments::read("latency", LATENCY, args)?;
    if !args.has("relation") {
        return plan_err!(
            "latency: over the store it takes the two stages, each as a text, and nothing else: the window and the \
             tolerance are those of the configuration. Name relation => and power => to set others"
        );
    }
    let pairs = pair(&mut args, context)?;
    let (stage_a, stage_b) = (pairs.what.stage_a.clone(), pairs.what.stage_b.clone());
    let what = energy_what(&mut args, context)?;
    let ts = pairs.ts.clone();
    let events = pairs.input.schema().columns();
    let frame = pairs.keys.clone();
    let pairs = extension(pairs);
    let Power { plan: power, ts: power_ts, watts } = power(&mut args, context)?;
    let power_schema = Arc::clone(power.schema());
    let mut optional = |name: &str, default: &str| -> Result<Expr> {
        let given =
            args.columns(name, &power_schema, context)?.map(|mut columns| columns.remove(0));
        let found = given.or_else(|| existing(&[default], &power_schema).into_iter().next());
        if let Some(column) = &found {
            require_number(column, &power_schema, name)?;
        }
        Ok(found
            .unwrap_or_else(|| cast(lit(datafusion::common::ScalarValue::Null), DataType::Float64)))
    };
    let meter = ["session", "device_uid"].map(|name| existing(&[name], &power_schema).pop());
    let [session, device] = meter;
    // Sessions are never mixed where both tell them.
    let by_session = session.is_some() && events.iter().any(|event| event.name == "session");
    let session = session.map(|session| session.alias("power_session"));
    let device = device.map(|device| device.alias("power_device_uid"));
    let samples = LogicalPlanBuilder::from(power)
        .project(
            [
                power_ts.alias("power_ts"),
                cast(watts, DataType::Float64).alias("power_w"),
                cast(optional("cpu_w", "cpu_w")?, DataType::Float64).alias("cpu_w"),
                cast(optional("gpu_w", "gpu_w")?, DataType::Float64).alias("gpu_w"),
                cast(optional("power_err_ns", "ts_err_ns")?, DataType::Int64).alias("power_err_ns"),
            ]
            .into_iter()
            .chain(session)
            .chain(device),
        )?
        .alias("power")?
        .build()?;
    let of_row = events.iter().find(|event| event.name == "session");
    let keys = match of_row.filter(|_| by_session) {
        None => Vec::new(),
        Some(session) => {
            let of_row = (Expr::Column(session.clone()), pairs.schema().as_ref());
            vec![of_one_type(of_row, (column("power", "power_session"), samples.schema()))?]
        }
    };
    let joined = as_of_power(pairs, &samples, &ts, what.tolerance_ns, keys.clone())?;
    let apart = apart(&keys, samples.schema());
    let from = nanoseconds_of(ts.clone(), joined.schema())?;
    let to = from.clone() + col("latency_ns");
    let sample = (column("power", "power_ts"), column("power", "power_w"));
    let with_energy = extension(
        Energy::try_new(Arc::new(joined), Arc::new(samples), what, (from.clone(), to), sample)?
            .by(keys)
            .apart(apart),
    );
    let age_ns = from - nanoseconds_of(column("power", "power_ts"), with_energy.schema())?;
    let named = [
        lit(stage_a).alias("stage_a"),
        lit(stage_b).alias("stage_b"),
        (cast(col("latency_ns"), DataType::Float64) / lit(1e6)).alias("latency_ms"),
        col("dropped"),
        col("paired_by"),
        col("confidence"),
        column("power", "power_w"),
        column("power", "cpu_w"),
        column("power", "gpu_w"),
        (cast(age_ns, DataType::Float64) / lit(1e6)).alias("power_age_ms"),
        column("power", "power_err_ns"),
        col("energy_j"),
    ];
    let kept =
        events.into_iter().filter(|event| is_of_latency(event, &ts, &frame)).map(Expr::Column);
    LogicalPlanBuilder::from(with_energy).project(kept.chain(named))?.build()
}

/// Whether a column of the events is one of table `latency`, or what the events are told apart by.
fn is_of_latency(event: &Column, ts: &Expr, frame: &[Expr]) -> bool {
    let this = Expr::Column(event.clone());
    let names = ["ts", "session", "node", "pipeline", "frame", "key_ns"];
    *ts == this
        || names.contains(&event.name.as_str())
        || (frame.contains(&this) && event.name != "pts_ns")
}

fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(relation), name))
}

fn as_of_power(
    pairs: LogicalPlan,
    samples: &LogicalPlan,
    ts: &Expr,
    tolerance_ns: i64,
    keys: Vec<(Expr, Expr)>,
) -> Result<LogicalPlan> {
    let stamps = (ts.clone(), column("power", "power_ts"));
    let (pairs, samples) = (Arc::new(pairs), Arc::new(samples.clone()));
    let side = Side::AtOrBefore;
    Ok(extension(AsOfJoin::try_new(pairs, samples, stamps, side, Some(tolerance_ns), keys)?))
}
