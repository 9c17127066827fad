//! Parsed statements: changes before DataFusion plans them, and what they do.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{self, VisitMut, VisitorMut};

/// Shows every query of the statement to the visitor, through `EXPLAIN` and `COPY` too.
pub(crate) fn visit(statement: &mut Statement, visitor: &mut impl VisitorMut<Break = ()>) {
    match statement {
        Statement::Statement(statement) => {
            let _: ControlFlow<()> = statement.visit(visitor);
        }
        Statement::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &mut copy.source {
                let _: ControlFlow<()> = query.visit(visitor);
            }
        }
        Statement::Explain(explain) => visit(&mut explain.statement, visitor),
        Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
}

/// The names of what a statement drops.
pub(crate) fn dropped(statement: &Statement) -> Vec<String> {
    match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            ast::Statement::Drop { names, .. } => names.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// What a statement does that has no rows to tell it: a session is one run of a program, and the store is only read.
pub(crate) fn effect(statement: &Statement) -> Option<String> {
    let dropped = dropped(statement);
    if !dropped.is_empty() {
        let names = dropped.join(", ");
        return Some(format!("{names} is gone for this run only; no file was touched"));
    }
    let made = |name: &ast::ObjectName| format!("{name} is a table for this run only");
    match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            ast::Statement::Set(set) => Some(format!("{set}: set for this run only")),
            ast::Statement::CreateTable(table) => Some(made(&table.name)),
            ast::Statement::CreateView(view) => Some(made(&view.name)),
            _ => None,
        },
        Statement::CreateExternalTable(table) => Some(made(&table.name)),
        Statement::Reset(_) => Some("RESET: as it was, for this run only".to_owned()),
        Statement::CopyTo(_) | Statement::Explain(_) => None,
    }
}
