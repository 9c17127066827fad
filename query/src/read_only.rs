//! Statements of strangers: no longer and no deeper than is allowed, and only those that read.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Select, TableFactor, Value,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::answer::Answer;
use crate::statement::visit;
use crate::{Query, QueryError};

/// Functions that make a value as long as their argument says, and which argument that is.
const GROWING: [(&str, usize); 8] = [
    ("repeat", 1),
    ("lpad", 1),
    ("rpad", 1),
    ("array_repeat", 1),
    ("list_repeat", 1),
    ("array_resize", 1),
    ("list_resize", 1),
    ("space", 0),
];

/// How much a statement may ask of the planner: it works down what it plans, so that its stack grows with the depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementLimits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Words, numbers and signs of the text.
    pub tokens: usize,
    /// Expressions within one another, such as the terms of a long sum.
    pub depth: usize,
    /// Tables, subqueries and branches of UNION.
    pub relations: usize,
    /// The length that `repeat` and its like may be told to make a value.
    pub value: u64,
}

impl Query {
    /// Plans one statement that only reads. What is too long or too deep is refused before it is planned, what does more
    /// than read before any of it runs.
    ///
    /// The thread needs a stack for what `limits` allow: 64 MiB are enough for 2,000 tokens.
    ///
    /// # Errors
    /// [`QueryError::Refused`] where it is beyond the limits, is not one statement or does not only read; else as of
    /// [`Query::answer`].
    pub async fn read_only(
        &self,
        sql: &str,
        limits: &StatementLimits,
    ) -> Result<Answer, QueryError> {
        limits.check_text(sql)?;
        let mut statements = self.statements(sql)?;
        let (Some(mut statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(QueryError::Refused("one statement is expected".into()));
        };
        limits.check(&mut statement)?;
        let tables = self.table_names();
        let plan = match self.logical(statement).await {
            Ok(plan) => plan,
            Err(e) => return Err(e.with_advice(&tables)),
        };
        let reads = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        if reads.verify_plan(&plan).is_err() {
            let text = "the statement does more than read: only SELECT, VALUES, SHOW, DESCRIBE and EXPLAIN are answered";
            return Err(QueryError::Refused(text.into()));
        }
        let frame = self.context().execute_logical_plan(plan).await.map_err(QueryError::plan)?;
        Ok(Answer::new(frame, tables))
    }
}

impl StatementLimits {
    /// Refuses a text that is too long. The tokens bound how deep the parser and whoever walks its tree may get.
    fn check_text(&self, sql: &str) -> Result<(), QueryError> {
        if sql.len() > self.bytes {
            return Err(too_much("bytes", sql.len(), self.bytes));
        }
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
        let tokens =
            tokens.map_err(|e| QueryError::parse(DataFusionError::from(ParserError::from(e))))?;
        let tokens = tokens.into_iter().filter(|t| !matches!(t, Token::Whitespace(_)));
        let tokens: Vec<Token> = tokens.collect();
        if tokens.len() > self.tokens {
            return Err(too_much("words and signs", tokens.len(), self.tokens));
        }
        // Types have no place in the tree that is walked below.
        let opens =
            |pair: &&[Token]| matches!(pair, [Token::Word(_), Token::Lt]) && is_nesting(&pair[0]);
        let nested = tokens.windows(2).filter(opens).count();
        if nested > self.depth {
            return Err(too_much("types within one another", nested, self.depth));
        }
        Ok(())
    }

    /// Refuses a statement that is too deep, or that makes values that are too long.
    fn check(&self, statement: &mut Statement) -> Result<(), QueryError> {
        if let Statement::Explain(explain) = &*statement
            && matches!(*explain.statement, Statement::Explain(_))
        {
            return Err(QueryError::Refused("EXPLAIN is given once".into()));
        }
        let mut shape = Shape { value: self.value, ..Shape::default() };
        visit(statement, &mut shape);
        if let Some(text) = shape.refused {
            return Err(QueryError::Refused(text));
        }
        if shape.depth > self.depth {
            return Err(too_much("expressions within one another", shape.depth, self.depth));
        }
        if shape.relations > self.relations {
            return Err(too_much("tables and subqueries", shape.relations, self.relations));
        }
        Ok(())
    }
}

/// Whether a word begins a type that holds others.
fn is_nesting(word: &Token) -> bool {
    ["ARRAY", "MAP", "STRUCT"].iter().any(|name| word.to_string().eq_ignore_ascii_case(name))
}

fn too_much(what: &str, count: usize, most: usize) -> QueryError {
    QueryError::Refused(format!("the statement has {count} {what}, at most {most} are answered"))
}

/// What a statement looks like to the planner.
#[derive(Default)]
struct Shape {
    /// Expressions that are open now.
    open: usize,
    depth: usize,
    relations: usize,
    /// The longest value that may be asked for.
    value: u64,
    refused: Option<String>,
}

impl VisitorMut for Shape {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.open += 1;
        self.depth = self.depth.max(self.open);
        if let Expr::Function(function) = expr
            && let Some(text) = grows(function, self.value)
        {
            self.refused = Some(text);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<()> {
        self.open -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.relations += 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, _: &mut TableFactor) -> ControlFlow<()> {
        self.relations += 1;
        ControlFlow::Continue(())
    }
}

/// Why a call of a growing function is refused.
fn grows(function: &Function, most: u64) -> Option<String> {
    let name = function.name.to_string().to_lowercase();
    let (_, place) = GROWING.iter().find(|(known, _)| *known == name)?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let length = match list.args.get(*place)? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
            Value::Number(text, _) => text.parse::<u64>().ok(),
            _ => None,
        },
        _ => None,
    };
    match length {
        Some(length) if length <= most => None,
        _ => Some(format!("the length given to {name} must be a number of at most {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    const LIMITS: StatementLimits =
        StatementLimits { bytes: 20_000, tokens: 2_000, depth: 200, relations: 64, value: 100_000 };

    /// On a stack as a server gives it: a debug build needs more than a test has.
    fn refusal(sql: &str) -> Option<String> {
        let sql = sql.to_string();
        let ask = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let query = Query::new(&Settings::default()).unwrap();
            match runtime.block_on(query.read_only(&sql, &LIMITS)) {
                Ok(_) => None,
                Err(e) => Some(e.to_string()),
            }
        };
        let thread = std::thread::Builder::new().stack_size(128 << 20).spawn(ask).unwrap();
        thread.join().unwrap()
    }

    #[test]
    fn what_is_within_the_limits_is_answered() {
        for sql in [
            "SELECT 1",
            "VALUES (1), (2)",
            "EXPLAIN SELECT 1",
            "SELECT repeat('x', 100)",
            "SHOW TABLES",
            &format!("SELECT {}", vec!["1"; 190].join("+")),
        ] {
            assert_eq!(refusal(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_is_too_deep_is_refused_before_it_is_planned() {
        let terms = |n: usize, sign: &str| format!("SELECT {}", vec!["1"; n].join(sign));
        let joins = vec!["(VALUES (1)) AS t"; 700].join(" CROSS JOIN ");
        for sql in [
            terms(300, "+"),
            terms(900, " OR "),
            terms(1_500, "+"),
            terms(900, "||"),
            format!("SELECT 1{}", "::int".repeat(900)),
            format!("SELECT 1{}", " IS NULL".repeat(900)),
            format!("SELECT * FROM {joins}"),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(400)),
            format!("SELECT {}1{}", "(".repeat(900), ")".repeat(900)),
            format!("SELECT {}1", "- ".repeat(1_900)),
            format!("{}SELECT 1", "EXPLAIN ".repeat(1_900)),
            format!("SELECT CAST(1 AS {}INT{})", "ARRAY<".repeat(600), ">".repeat(600)),
        ] {
            assert!(refusal(&sql).is_some(), "{}", &sql[..60]);
        }
    }

    #[test]
    fn what_does_more_than_read_is_refused_before_it_runs() {
        for sql in [
            "SELECT * INTO made FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
            "CREATE TABLE made AS SELECT 1",
            "SET datafusion.execution.batch_size = 1",
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "SELECT repeat('x', 2000000000)",
            "SELECT repeat('x', v) FROM (VALUES (2000000000)) t(v)",
            "SELECT 1; SELECT 2",
            "",
        ] {
            let text = refusal(sql).unwrap_or_else(|| panic!("answered: {sql}"));
            assert!(!text.is_empty());
        }
    }
}
