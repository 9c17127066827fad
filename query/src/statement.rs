//! Changes to a parsed statement before DataFusion plans it.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{VisitMut, VisitorMut};

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
