//! Arguments of a table function: by position, or by name as `name => value`.

use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, Ident, TableFactor, TableFunctionArgs, Value,
};

/// The arguments that were given, each by its name.
#[derive(Debug)]
pub(super) struct Arguments {
    function: &'static str,
    given: Vec<(String, SqlExpr)>,
}

impl Arguments {
    /// Takes the arguments of a call; the first ones may go without a name, in the order of `known`.
    pub(super) fn read(
        function: &'static str,
        known: &[&str],
        args: TableFunctionArgs,
    ) -> Result<Self> {
        let mut given: Vec<(String, SqlExpr)> = Vec::new();
        for (position, arg) in args.args.into_iter().enumerate() {
            let (name, value) = match arg {
                FunctionArg::Unnamed(value)
                    if given.len() == position && position < known.len() =>
                {
                    (known[position].to_owned(), value)
                }
                FunctionArg::Unnamed(value) => {
                    return plan_err!(
                        "{function}: write the argument {value} with its name, like name => {value}"
                    );
                }
                FunctionArg::Named { name, arg, .. } => (name.value.to_lowercase(), arg),
                FunctionArg::ExprNamed { name, arg, .. } => (name.to_string().to_lowercase(), arg),
            };
            let FunctionArgExpr::Expr(value) = value else {
                return plan_err!("{function}: the argument {name} must be a value, not {value}");
            };
            if !known.contains(&name.as_str()) {
                return plan_err!(
                    "{function} has no argument {name}; it takes {}",
                    known.join(", ")
                );
            }
            if given.iter().any(|(other, _)| *other == name) {
                return plan_err!("{function}: the argument {name} is given twice");
            }
            given.push((name, value));
        }
        Ok(Arguments { function, given })
    }

    fn take(&mut self, name: &str) -> Option<SqlExpr> {
        let at = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.remove(at).1)
    }

    /// Whether an argument was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| given == name)
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        match value {
            Some(value) => Ok(value),
            None => plan_err!("{}: the argument {name} is missing", self.function),
        }
    }

    /// A constant, or None where it was not given.
    fn constant(
        &mut self,
        name: &str,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Option<ScalarValue>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match context.sql_to_expr(value, &DFSchema::empty())? {
            Expr::Literal(value, _) => Ok(Some(value)),
            other => plan_err!("{}: {name} must be a constant, not {other}", self.function),
        }
    }

    pub(super) fn text(
        &mut self,
        name: &str,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Option<String>> {
        match self.constant(name, context)? {
            None => Ok(None),
            Some(
                ScalarValue::Utf8(Some(text))
                | ScalarValue::Utf8View(Some(text))
                | ScalarValue::LargeUtf8(Some(text)),
            ) => Ok(Some(text)),
            Some(other) => plan_err!("{}: {name} must be a text, not {other}", self.function),
        }
    }

    pub(super) fn required_text(
        &mut self,
        name: &str,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<String> {
        let text = self.text(name, context)?;
        self.required(name, text)
    }

    /// One of a few words; the first of them where none was given.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
        context: &mut dyn RelationPlannerContext,
    ) -> Result<T> {
        let Some(given) = self.text(name, context)? else { return Ok(choices[0].1) };
        match choices.iter().find(|(word, _)| *word == given) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                plan_err!("{}: {name} is one of {}, not {given}", self.function, words.join(", "))
            }
        }
    }

    pub(super) fn boolean(
        &mut self,
        name: &str,
        default: bool,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<bool> {
        match self.constant(name, context)? {
            None => Ok(default),
            Some(ScalarValue::Boolean(Some(value))) => Ok(value),
            Some(other) => plan_err!("{}: {name} is true or false, not {other}", self.function),
        }
    }

    /// Milliseconds, as nanoseconds.
    pub(super) fn milliseconds(
        &mut self,
        name: &str,
        default_ns: i64,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<i64> {
        let Some(value) = self.constant(name, context)? else { return Ok(default_ns) };
        let number = value.cast_to(&datafusion::arrow::datatypes::DataType::Float64);
        match number {
            Ok(ScalarValue::Float64(Some(ms))) if (0.0..=9e12).contains(&ms) => {
                Ok((ms * 1e6).round() as i64)
            }
            _ => {
                plan_err!("{}: {name} must be a number of milliseconds, not {value}", self.function)
            }
        }
    }

    /// A table by its name, or a query; [`super::NameRelations`] made a query of the name and of its default.
    pub(super) fn relation(
        &mut self,
        name: &str,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let relation = self.take(name);
        match self.required(name, relation)? {
            SqlExpr::Subquery(subquery) => context.plan(TableFactor::Derived {
                lateral: false,
                subquery,
                alias: None,
                sample: None,
            }),
            other => plan_err!("{}: {name} must be a table or a query, not {other}", self.function),
        }
    }

    /// Columns or expressions over a relation: one, or several in parentheses. A text names a column.
    pub(super) fn columns(
        &mut self,
        name: &str,
        schema: &DFSchema,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Option<Vec<Expr>>> {
        let given = match self.take(name) {
            None => return Ok(None),
            Some(SqlExpr::Tuple(given)) => given,
            Some(one) => vec![one],
        };
        let columns = given.into_iter().map(|column| {
            let column = match column {
                SqlExpr::Value(value) => match value.value {
                    Value::SingleQuotedString(name) => {
                        SqlExpr::Identifier(Ident::with_quote('"', name))
                    }
                    other => {
                        return plan_err!(
                            "{}: {name} must be a column, not {other}",
                            self.function
                        );
                    }
                },
                other => other,
            };
            context.sql_to_expr(column, schema)
        });
        columns.collect::<Result<_>>().map(Some)
    }

    /// One column or expression; the first of `defaults` that the relation has where none was given.
    pub(super) fn column(
        &mut self,
        name: &str,
        defaults: &[&str],
        schema: &DFSchema,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Expr> {
        match self.columns(name, schema, context)? {
            Some(mut columns) if columns.len() == 1 => Ok(columns.remove(0)),
            Some(_) => plan_err!("{}: {name} takes one column", self.function),
            None => {
                let found = existing(defaults, schema).into_iter().next();
                match found {
                    Some(column) => Ok(column),
                    None if defaults.is_empty() => self.required(name, None),
                    None => plan_err!(
                        "{}: the relation has no column {}; name its column with {name} =>",
                        self.function,
                        defaults.join(" or ")
                    ),
                }
            }
        }
    }
}

/// Those of the names that are columns of the relation.
pub(super) fn existing(names: &[&str], schema: &DFSchema) -> Vec<Expr> {
    let column = |name: &&str| {
        let (qualifier, field) = schema.qualified_field_with_unqualified_name(name).ok()?;
        Some(Expr::Column(datafusion::common::Column::from((qualifier, field))))
    };
    names.iter().filter_map(column).collect()
}
