//! A table of the store, as a provider of rows: sealed files and open segments together.

use std::sync::Arc;

use async_trait::async_trait;
use bl_schemas::Table;
use bl_store::Session as Recorded;
use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Statistics};
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;

use super::files::{KnownFile, groups, read_footers, statistics};
use super::sql_types::{sql_schema, to_sql};

/// A table over some sessions of the store, as it is when it is scanned.
#[derive(Debug)]
pub(super) struct RawTable {
    table: &'static Table,
    schema: SchemaRef,
    sessions: Vec<Recorded>,
}

impl RawTable {
    pub fn new(table: &'static Table, sessions: Vec<Recorded>) -> Self {
        Self { table, schema: sql_schema(table), sessions }
    }

    /// The sessions of which rows may pass the filters: those on `session` and `node` are decided here, before
    /// any file is touched.
    fn sessions(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&Recorded>> {
        let decided: Vec<Expr> = filters.iter().filter(|f| is_about_session(f)).cloned().collect();
        let Some(filter) = conjunction(decided) else { return Ok(self.sessions.iter().collect()) };
        let field = |name| Field::new(name, DataType::Utf8, false);
        let schema = Arc::new(Schema::new(vec![field("session"), field("node")]));
        let column = |f: fn(&Recorded) -> String| {
            Arc::new(StringArray::from_iter_values(self.sessions.iter().map(f))) as Arc<dyn Array>
        };
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![column(|s| s.id().to_string()), column(|s| s.manifest().node.clone())],
        )?;
        let schema = DFSchema::try_from(schema)?;
        let unqualified = datafusion::logical_expr::expr_rewriter::unnormalize_col(filter);
        let (coerced, _) = coerce(unqualified, &schema)?;
        let kept = state.create_physical_expr(coerced, &schema)?.evaluate(&batch)?;
        let kept = kept.into_array(batch.num_rows())?;
        let kept = kept.as_boolean();
        Ok(self
            .sessions
            .iter()
            .zip(kept)
            .filter(|(_, k)| *k == Some(true))
            .map(|(s, _)| s)
            .collect())
    }

    fn ordering(&self) -> Result<LexOrdering> {
        let ascending = SortOptions { descending: false, nulls_first: false };
        LexOrdering::new([PhysicalSortExpr::new(Arc::new(Column::new("ts", 0)), ascending)])
            .ok_or_else(|| DataFusionError::Internal("an ordering of nothing".into()))
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        files: Vec<KnownFile>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::local_filesystem();
        let runtime = state.runtime_env();
        let reader = CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let options = state.table_options().parquet.clone();
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let totals = self.totals(&files);
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_statistics(totals)
            .with_file_groups(groups(files, state.config().target_partitions()))
            .with_output_ordering(vec![self.ordering()?])
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn totals(&self, files: &[KnownFile]) -> Statistics {
        statistics(
            &self.schema,
            files.iter().map(|f| f.rows).sum(),
            files.iter().map(|f| f.first_ts).min().unwrap_or(i64::MIN),
            files.iter().map(|f| f.last_ts).max().unwrap_or(i64::MAX),
        )
    }

    fn scan_open(
        &self,
        open: Vec<RecordBatch>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // One partition a segment: each is sorted, and they may overlap.
        let partitions: Vec<Vec<RecordBatch>> = open.into_iter().map(|b| vec![b]).collect();
        let config = MemorySourceConfig::try_new(
            &partitions,
            Arc::clone(&self.schema),
            projection.cloned(),
        )?
        .with_limit(limit)
        .try_with_sort_information(vec![self.ordering()?])?;
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Casts what differs in type, as the analyzer does for whole plans.
fn coerce(expr: Expr, schema: &DFSchema) -> Result<(Expr, ())> {
    use datafusion::common::tree_node::TreeNode;
    use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;

    let expr = strip_casts(expr)?;
    Ok((expr.rewrite(&mut TypeCoercionRewriter::new(schema))?.data, ()))
}

/// Takes the dictionary casts out that were made for the types at rest.
fn strip_casts(expr: Expr) -> Result<Expr> {
    use datafusion::common::ScalarValue;
    use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};

    expr.transform(|e| {
        Ok(match e {
            Expr::Literal(ScalarValue::Dictionary(_, value), meta) => {
                Transformed::yes(Expr::Literal(*value, meta))
            }
            other => Transformed::no(other),
        })
    })
    .data()
}

fn is_about_session(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns.iter().all(|c| c.name == "session" || c.name == "node")
        && !filter.is_volatile()
}

#[async_trait]
impl TableProvider for RawTable {
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
        // Whole sessions pass or do not: that is exact. The rest prunes files and pages.
        Ok(filters
            .iter()
            .map(|f| match is_about_session(f) {
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
        let mut open = Vec::new();
        let mut sealed = Vec::new();
        for session in self.sessions(state, filters)? {
            let snapshot =
                session.snapshot(self.table).map_err(|e| DataFusionError::External(Box::new(e)))?;
            sealed.extend(snapshot.sealed.into_iter().map(|f| f.path));
            for batch in snapshot.open {
                open.push(to_sql(&batch, &self.schema)?);
            }
        }
        let mut parts = Vec::new();
        if !sealed.is_empty() {
            let files = read_footers(state, sealed, &self.schema).await?;
            parts.push(self.scan_files(state, files, projection, limit)?);
        }
        if !open.is_empty() {
            parts.push(self.scan_open(open, projection, limit)?);
        }
        if parts.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        if parts.len() == 1 { Ok(parts.swap_remove(0)) } else { UnionExec::try_new(parts) }
    }
}
