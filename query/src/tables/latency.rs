//! Table `latency`: what is aligned, and what is not aligned yet computed on the spot.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bl_schemas::Table;
use bl_store::Session as Recorded;
use datafusion::arrow::array::StringArray;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;

use super::prune::{is_about, passing, passing_sessions, span_ns};
use super::scan::Scan;
use super::sql_types::sql_schema;
use crate::latency::{LatencyError, LatencyExec, LatencyOptions, Progress, Share};

/// The columns by which whole pairs of a session pass or do not.
const DECIDED: [&str; 4] = ["session", "node", "stage_a", "stage_b"];

/// The table over some sessions of the store, as it is when it is scanned: the pairs of stages of the options,
/// those that are aligned beside them, and the one that the filters name.
#[derive(Debug)]
pub(super) struct LatencyTable {
    schema: SchemaRef,
    sessions: Vec<Recorded>,
    options: LatencyOptions,
}

/// One pair of stages in one session.
struct Wanted {
    session: Recorded,
    progress: Arc<Progress>,
    options: LatencyOptions,
    /// Neither configured nor aligned: the filters name it, and may name a stage that does not exist.
    only_asked: bool,
}

impl LatencyTable {
    pub fn new(table: &'static Table, sessions: Vec<Recorded>, options: LatencyOptions) -> Self {
        Self { schema: sql_schema(table), sessions, options }
    }

    /// The pairs of which rows may pass the filters, each with its session.
    fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Wanted>> {
        let mut all = Vec::new();
        for session in passing_sessions(state, filters, &self.sessions)? {
            let progress = Arc::new(Progress::read(session).map_err(external)?);
            let options = self.options.of(session).map_err(|e| external(e.into()))?;
            let one = |pair: &(String, String), method: &_| Wanted {
                session: session.clone(),
                progress: Arc::clone(&progress),
                options: LatencyOptions { pairs: vec![pair.clone()], method: Clone::clone(method) },
                only_asked: false,
            };
            all.extend(options.pairs.iter().map(|pair| one(pair, &options.method)));
            for aligned in &progress.pairs {
                let pair = (aligned.stage_a.clone(), aligned.stage_b.clone());
                if !options.pairs.contains(&pair) {
                    all.push(one(&pair, &aligned.method));
                }
            }
            let is_known = |(a, b): &(String, String)| {
                options.pairs.iter().any(|known| (&known.0, &known.1) == (a, b))
                    || progress.pairs.iter().any(|known| (&known.stage_a, &known.stage_b) == (a, b))
            };
            if let Some(pair) = asked(filters).filter(|pair| !is_known(pair)) {
                all.push(Wanted { only_asked: true, ..one(&pair, &options.method) });
            }
        }
        let column = |of: fn(&Wanted) -> &str| StringArray::from_iter_values(all.iter().map(of));
        let columns = [
            (DECIDED[0], column(|w| w.session.id().as_str())),
            (DECIDED[1], column(|w| &w.session.manifest().node)),
            (DECIDED[2], column(|w| &w.options.pairs[0].0)),
            (DECIDED[3], column(|w| &w.options.pairs[0].1)),
        ];
        let passing = passing(state, filters, &columns)?;
        Ok(all.into_iter().zip(passing).filter(|(_, kept)| *kept).map(|(w, _)| w).collect())
    }
}

/// The two stages that the filters name, where they name one of each: such a pair is told whether it is configured
/// or not.
fn asked(filters: &[Expr]) -> Option<(String, String)> {
    let named = |column: &str| {
        filters.iter().find_map(|filter| {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else {
                return None;
            };
            match (left.as_ref(), right.as_ref()) {
                (Expr::Column(c), Expr::Literal(value, _))
                | (Expr::Literal(value, _), Expr::Column(c))
                    if c.name == column =>
                {
                    value.try_as_str().flatten().map(str::to_string)
                }
                _ => None,
            }
        })
    };
    Some((named("stage_a")?, named("stage_b")?))
}

impl Wanted {
    /// The aligned files, and what is to be computed beside them.
    fn parts(self) -> Result<(Vec<PathBuf>, Vec<Share>), LatencyError> {
        let folder = self.session.dir().aligned("latency");
        let tasks = self.progress.tasks(&self.session, &self.options)?;
        let files = tasks.iter().filter_map(|task| task.done.as_ref());
        let files = files.flat_map(|done| done.files.iter().map(|name| folder.join(name)));
        let files = files.collect();
        let needs_second_stage = self.only_asked;
        let share = |task| Share { session: self.session.clone(), task, needs_second_stage };
        Ok((files, tasks.into_iter().filter(|task| task.open).map(share).collect()))
    }
}

fn external(e: LatencyError) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}

#[async_trait]
impl TableProvider for LatencyTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|f| match is_about(f, &DECIDED) {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Inexact,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut sealed, mut shares) = (Vec::new(), Vec::new());
        for wanted in self.wanted(state, filters)? {
            let (files, computed) = wanted.parts().map_err(external)?;
            sealed.extend(files);
            shares.extend(computed);
        }
        let scan = Scan { state, schema: &self.schema, projection, limit };
        let span_ns = span_ns(filters);
        let computed = match shares.is_empty() || span_ns.0 > span_ns.1 {
            true => None,
            false => {
                let table = Arc::clone(&self.schema);
                let exec = LatencyExec::try_new(shares, table, projection, span_ns, limit)?;
                Some(Arc::new(exec) as Arc<dyn ExecutionPlan>)
            }
        };
        scan.together(scan.sealed(sealed).await?.into_iter().chain(computed))
    }
}
