//! Parameters of jobs: their lines in the comment, and their values in the statement.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Value, visit_expressions_mut};

use super::Job;
use crate::QueryError;
use crate::advice::nearest;

/// A parameter of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, without the `$`.
    pub name: String,
    /// Whether it is a number; else it is text.
    pub is_number: bool,
    /// What it means, and its default.
    pub description: String,
    /// The default; none is null.
    pub default: Option<String>,
}

impl Parameter {
    /// Reads a line such as `$stage_a text Stage where frames begin (default: ingress)`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.strip_prefix('$')?.split_once(char::is_whitespace)?;
        let (kind, description) = rest.trim().split_once(char::is_whitespace)?;
        let (_, default) = description.rsplit_once("(default: ")?;
        let default = default.trim_end_matches(')');
        Some(Self {
            name: name.into(),
            is_number: kind == "number",
            description: description.trim().into(),
            default: (default != "null").then(|| default.into()),
        })
    }

    fn value(&self, text: Option<&str>) -> Result<Value, QueryError> {
        match text {
            None => Ok(Value::Null),
            Some("null") => Ok(Value::Null),
            Some(text) if self.is_number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Number(text.into(), false)),
                _ => {
                    let name = &self.name;
                    Err(QueryError::Name(format!(
                        "parameter {name} must be a number, not '{text}'"
                    )))
                }
            },
            Some(text) => Ok(Value::SingleQuotedString(text.into())),
        }
    }
}

/// Puts values in the place of the parameters of a statement.
pub(super) fn bind(
    job: &Job,
    statement: &mut Statement,
    values: &BTreeMap<String, String>,
) -> Result<(), QueryError> {
    let parameters = job.parameters();
    let names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
    if let Some(name) = values.keys().find(|name| !names.contains(&name.as_str())) {
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("it has {}", names.join(", ")),
        };
        let job = job.name;
        return Err(QueryError::Name(format!("job {job} has no parameter '{name}': {hint}")));
    }
    let mut bound = BTreeMap::new();
    for parameter in &parameters {
        let text = values.get(&parameter.name).or(parameter.default.as_ref());
        bound.insert(format!("${}", parameter.name), parameter.value(text.map(String::as_str))?);
    }
    let Statement::Statement(statement) = statement else { return Ok(()) };
    let _: ControlFlow<()> = visit_expressions_mut(statement.as_mut(), |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
            && let Some(bound) = bound.get(name)
        {
            value.value = bound.clone();
        }
        ControlFlow::Continue(())
    });
    Ok(())
}
