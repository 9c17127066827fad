//! Makes queries of the tables that a table function names.
//!
//! DataFusion 55 loads the tables that a statement's syntax mentions before it plans. A name in an
//! argument is not seen; a query in an argument is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArgOperator, Ident, Query, TableFactor, Value,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

use super::tables::{self, Function};

/// Rewrites the calls of our table functions.
pub(crate) struct NameRelations;

impl VisitorMut for NameRelations {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: Some(args), .. } = factor else {
            return ControlFlow::Continue(());
        };
        let Some(function) = tables::named(name) else { return ControlFlow::Continue(()) };
        if let (Function::Latency, Some(subquery)) = (function, of_store(&args.args)) {
            let TableFactor::Table { alias, .. } = factor else { return ControlFlow::Continue(()) };
            let alias = alias.take();
            *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
            return ControlFlow::Continue(());
        }
        for (relation, default) in function.relations() {
            let given = args.args.iter_mut().find_map(|arg| match arg {
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
                    if name.value.eq_ignore_ascii_case(relation) =>
                {
                    Some(value)
                }
                _ => None,
            });
            match (given, default) {
                // What is no table is refused when the argument is read.
                (Some(value), _) => {
                    if let Some(Ok(query)) = text_of(value).map(|name| everything_from(&name)) {
                        *value = Expr::Subquery(query);
                    }
                }
                (None, Some(default)) => {
                    if let Ok(query) = everything_from(default) {
                        args.args.push(FunctionArg::Named {
                            name: Ident::new(*relation),
                            arg: FunctionArgExpr::Expr(Expr::Subquery(query)),
                            operator: FunctionArgOperator::RightArrow,
                        });
                    }
                }
                (None, None) => {}
            }
        }
        ControlFlow::Continue(())
    }
}

/// The rows of table `latency`, where `latency` is called with nothing but two stages: the store knows which board's
/// power counts, and how its sessions are told apart.
fn of_store(args: &[FunctionArg]) -> Option<Box<Query>> {
    let [a, b] = args else { return None };
    let stage = |arg: &FunctionArg, name: &str| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => quoted(&value.value),
        FunctionArg::Named {
            name: given, arg: FunctionArgExpr::Expr(Expr::Value(value)), ..
        } if given.value.eq_ignore_ascii_case(name) => quoted(&value.value),
        _ => None,
    };
    let (stage_a, stage_b) = (stage(a, "stage_a")?, stage(b, "stage_b")?);
    let sql = format!("SELECT * FROM latency WHERE stage_a = {stage_a} AND stage_b = {stage_b}");
    Parser::new(&GenericDialect {}).try_with_sql(&sql).ok()?.parse_query().ok()
}

/// A text as it is written in SQL.
fn quoted(value: &Value) -> Option<String> {
    matches!(value, Value::SingleQuotedString(_)).then(|| value.to_string())
}

/// The name of a table, given as such or as a text.
fn text_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Some(value.to_string()),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(name) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn everything_from(table: &str) -> Result<Box<Query>, ParserError> {
    let table = Parser::new(&GenericDialect {}).try_with_sql(table)?.parse_object_name(false)?;
    let sql = format!("SELECT * FROM {table}");
    Parser::new(&GenericDialect {}).try_with_sql(&sql)?.parse_query()
}
