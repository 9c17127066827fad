//! Rows of a table for a plan: files and batches, each sorted by `ts`, together.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::Statistics;
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;

use super::files::{KnownFile, groups, read_footers, statistics};
use super::ranges::Ranges;

/// What of a table is wanted.
pub(super) struct Scan<'a> {
    pub state: &'a dyn Session,
    /// As SQL sees it; its first column is `ts`.
    pub schema: &'a SchemaRef,
    pub projection: Option<&'a Vec<usize>>,
    pub limit: Option<usize>,
}

impl Scan<'_> {
    /// The plan that reads the sealed files of sessions, each sorted by `ts`; none where there is no file. Where that can
    /// be, each partition has the sessions of a range of names.
    pub async fn sessions(
        &self,
        sealed: Vec<(String, Vec<PathBuf>)>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let names: Vec<String> = sealed.iter().map(|(name, _)| name.clone()).collect();
        let mut of_file = Vec::new();
        let mut paths = Vec::new();
        for (session, (_, files)) in sealed.into_iter().enumerate() {
            of_file.extend(files.iter().map(|_| session));
            paths.extend(files);
        }
        if paths.is_empty() {
            return Ok(None);
        }
        let files = read_footers(self.state, paths, self.schema).await?;
        if !files.iter().all(|file| file.is_sorted) {
            return self.all_of(files).map(Some);
        }
        let rows: usize = files.iter().map(|file| file.rows).sum();
        let options = &self.state.config().options().optimizer;
        let is_worth_it = rows >= options.hash_join_single_partition_threshold_rows;
        let partitions = self.state.config().target_partitions();
        let totals = self.totals(&files);
        let (files, ranges) = match Ranges::of(&names, partitions).filter(|_| is_worth_it) {
            None => (groups(files, partitions), None),
            Some(ranges) => match ranges.groups(&names, &of_file, files) {
                Ok(groups) => (groups, Some(ranges.partitioning(self.schema)?)),
                Err(files) => (groups(files, partitions), None),
            },
        };
        self.files(files, totals, ranges, vec![self.ordering()?]).map(Some)
    }

    /// The plan that reads sealed files, each sorted by `ts`; none where there is no file.
    pub async fn sealed(&self, sealed: Vec<PathBuf>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if sealed.is_empty() {
            return Ok(None);
        }
        let files = read_footers(self.state, sealed, self.schema).await?;
        self.all_of(files).map(Some)
    }

    /// The plan that reads files. What another tool wrote may be in any order: then whatever needs one sorts.
    fn all_of(&self, files: Vec<KnownFile>) -> Result<Arc<dyn ExecutionPlan>> {
        let (sorted, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.is_sorted);
        let parts = [(sorted, vec![self.ordering()?]), (others, Vec::new())];
        let parts = parts.into_iter().filter(|(files, _)| !files.is_empty());
        let parts = parts.map(|(files, orderings)| {
            let totals = self.totals(&files);
            let groups = groups(files, self.state.config().target_partitions());
            self.files(groups, totals, None, orderings)
        });
        self.together(parts.collect::<Result<Vec<_>>>()?)
    }

    /// The rows of several plans.
    pub fn together(
        &self,
        parts: impl IntoIterator<Item = Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut parts: Vec<_> = parts.into_iter().collect();
        if parts.is_empty() {
            let schema = match self.projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        if parts.len() == 1 { Ok(parts.swap_remove(0)) } else { UnionExec::try_new(parts) }
    }

    fn ordering(&self) -> Result<LexOrdering> {
        let ascending = SortOptions { descending: false, nulls_first: false };
        LexOrdering::new([PhysicalSortExpr::new(Arc::new(Column::new("ts", 0)), ascending)])
            .ok_or_else(|| DataFusionError::Internal("an ordering of nothing".into()))
    }

    fn files(
        &self,
        groups: Vec<FileGroup>,
        totals: Statistics,
        partitioning: Option<Partitioning>,
        orderings: Vec<LexOrdering>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::local_filesystem();
        let runtime = self.state.runtime_env();
        let reader = CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let options = self.state.table_options().parquet.clone();
        let source = ParquetSource::new(Arc::clone(self.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_statistics(totals)
            .with_file_groups(groups)
            .with_output_partitioning(partitioning)
            .with_output_ordering(orderings)
            .with_projection_indices(self.projection.cloned())?
            .with_limit(self.limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn totals(&self, files: &[KnownFile]) -> Statistics {
        statistics(
            self.schema,
            files.iter().map(|f| f.rows).sum(),
            files.iter().map(|f| f.first_ts).min().unwrap_or(i64::MIN),
            files.iter().map(|f| f.last_ts).max().unwrap_or(i64::MAX),
        )
    }

    /// The plan of rows that are in memory (of `schema`), each batch sorted by `ts`; none where there is no batch.
    pub fn open(&self, open: Vec<RecordBatch>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if open.is_empty() {
            return Ok(None);
        }
        // One partition a batch: each is sorted, and they may overlap.
        let partitions: Vec<Vec<RecordBatch>> = open.into_iter().map(|b| vec![b]).collect();
        let projection = self.projection.cloned();
        let config = MemorySourceConfig::try_new(&partitions, Arc::clone(self.schema), projection)?
            .with_limit(self.limit)
            .try_with_sort_information(vec![self.ordering()?])?;
        Ok(Some(DataSourceExec::from_data_source(config)))
    }
}
