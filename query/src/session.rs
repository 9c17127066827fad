//! The configured session: settings, functions, operators.

use std::num::NonZero;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};

use crate::asof::{AsOfRelation, Parenthesise};
use crate::clocks::{clock_fit, on_clock};
use crate::error::QueryError;
use crate::file::FileTable;
use crate::functions::{NameRelations, TableFunctions, aggregates};
use crate::jobs::power_lag;
use crate::latency::LatencyOptions;
use crate::operator::Kernels;
use crate::pushdown::FiltersThroughKernels;
use crate::runtime::Runtime;
use crate::statement::visit;
use crate::tables::{SessionFilter, StoreTables};
use bl_store::Store;

/// Rows in a batch. Larger than DataFusion's 8,192: the operators here move whole columns, and a batch of
/// a few numeric columns still fits the cache of a core.
const BATCH_ROWS: usize = 16_384;

/// DataFusion's own names for where tables are found that are written without a prefix.
const CATALOG: &str = "datafusion";
const SCHEMA: &str = "public";

/// What a caller can set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Tasks that work in parallel; the number of cores without it.
    pub partitions: Option<NonZero<usize>>,
    /// Rows in a batch; 16,384 without it.
    pub batch_rows: Option<NonZero<usize>>,
    /// Memory that the operators of this session may take together before they spill or fail; without it, what is left
    /// in the pool of the runtime.
    pub memory_bytes: Option<usize>,
    /// What it shares with other sessions of the process; a runtime of its own, without a limit, if none is given.
    pub runtime: Option<Runtime>,
}

/// A session in which tables are registered and queries are run.
pub struct Query {
    context: SessionContext,
}

impl Query {
    /// A session without tables.
    ///
    /// # Errors
    /// [`QueryError::Settings`].
    pub fn new(settings: &Settings) -> Result<Self, QueryError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let mut config = SessionConfig::new()
            .with_target_partitions(settings.partitions.unwrap_or(cores).get())
            .with_batch_size(settings.batch_rows.map_or(BATCH_ROWS, NonZero::get))
            .with_information_schema(true);
        let options = config.options_mut();
        // The files are sorted by time: keep that order instead of sorting again.
        options.optimizer.prefer_existing_sort = true;
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        let mut runtime = match &settings.runtime {
            Some(shared) => shared.clone(),
            None => Runtime::unlimited()?,
        };
        if let Some(bytes) = settings.memory_bytes {
            runtime = runtime.with_limit(bytes)?;
        }
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.env())
            .with_default_features()
            .with_relation_planners(vec![Arc::new(AsOfRelation), Arc::new(TableFunctions)])
            .with_optimizer_rules(optimizer_rules())
            .with_query_planner(Arc::new(Planner))
            .build();
        let context = SessionContext::new_with_state(state);
        aggregates().into_iter().for_each(|aggregate| context.register_udaf(aggregate));
        context.register_udaf(power_lag());
        context.register_udaf(clock_fit());
        context.register_udf(on_clock());
        Ok(Query { context })
    }

    /// The DataFusion session, to register tables and functions with.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Registers the tables of a store, over the sessions that `filter` lets through. Table `latency` has the
    /// pairs of stages that are aligned; [`register_store_with`](Self::register_store_with) adds others.
    ///
    /// # Errors
    /// [`QueryError::Store`] where a named session is not there.
    pub fn register_store(&self, store: Store, filter: SessionFilter) -> Result<(), QueryError> {
        self.register_store_with(store, filter, LatencyOptions::default())
    }

    /// The same, with the pairs of stages that table `latency` has, computed where they are not aligned.
    ///
    /// # Errors
    /// [`QueryError::Store`] where a named session is not there.
    pub fn register_store_with(
        &self,
        store: Store,
        filter: SessionFilter,
        latency: LatencyOptions,
    ) -> Result<(), QueryError> {
        filter.sessions(&store).map_err(|e| QueryError::Store(Box::new(e)))?;
        let catalog =
            self.context.catalog(CATALOG).ok_or_else(|| QueryError::no_catalog(CATALOG))?;
        let tables = Arc::new(StoreTables::new(store, filter, latency));
        catalog.register_schema(SCHEMA, tables).map_err(QueryError::plan)?;
        Ok(())
    }

    /// Names of all tables.
    pub fn table_names(&self) -> Vec<String> {
        let schema = self.context.catalog(CATALOG).and_then(|c| c.schema(SCHEMA));
        schema.map(|s| s.table_names()).unwrap_or_default()
    }

    /// Registers a file as a table, and says by which column it takes it to be sorted.
    ///
    /// # Errors
    /// [`QueryError::File`] where the file is missing, is neither Parquet nor CSV, or has no such column.
    pub async fn register_file(&self, file: &FileTable) -> Result<Option<String>, QueryError> {
        file.register(&self.context).await
    }

    /// Plans one statement. It runs when the frame is collected or streamed.
    ///
    /// # Errors
    /// [`QueryError::Parse`] and [`QueryError::Plan`].
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, QueryError> {
        let mut statements = self.statements(sql)?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => self.plan(statement).await,
            (last, _) => {
                let count = statements.len() + usize::from(last.is_some());
                let text = format!("one statement is expected here, found {count}");
                Err(QueryError::parse(datafusion::error::DataFusionError::Plan(text)))
            }
        }
    }

    /// Splits a text into its statements, which are separated by semicolons.
    ///
    /// # Errors
    /// [`QueryError::Parse`].
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, QueryError> {
        let statements = DFParserBuilder::new(sql)
            .build()
            .and_then(|mut parser| parser.parse_statements())
            .map_err(QueryError::parse)?;
        Ok(statements.into())
    }

    /// Plans a parsed statement.
    ///
    /// # Errors
    /// [`QueryError::Plan`].
    pub async fn plan(&self, statement: Statement) -> Result<DataFrame, QueryError> {
        let plan = self.logical(statement).await?;
        self.context.execute_logical_plan(plan).await.map_err(QueryError::plan)
    }

    /// Plans a parsed statement, of which nothing runs.
    pub(crate) async fn logical(
        &self,
        mut statement: Statement,
    ) -> Result<LogicalPlan, QueryError> {
        visit(&mut statement, &mut Parenthesise);
        visit(&mut statement, &mut NameRelations);
        self.context.state().statement_to_plan(statement).await.map_err(QueryError::plan)
    }
}

/// DataFusion's rules with ours, which follows the one that brings filters down: later ones put projections between.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let filters = rules.iter().position(|rule| rule.name() == "push_down_filter");
    rules.insert(filters.map_or(0, |at| at + 1), Arc::new(FiltersThroughKernels));
    rules
}

/// DataFusion's planner with our operators.
#[derive(Debug)]
struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let ours: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> = vec![Arc::new(Kernels)];
        DefaultPhysicalPlanner::with_extension_planners(ours)
            .create_physical_plan(logical_plan, session)
            .await
    }
}
