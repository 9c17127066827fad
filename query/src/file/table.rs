//! `NAME=FILE`: a file registered as a table.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{ScanArgs, ScanResult, Session, TableProvider};
use datafusion::common::{Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionContext, ident};

use super::order;
use super::sorted::SortedExec;
use crate::error::QueryError;

/// By which column a file is sorted, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileOrder {
    /// By the column that the footer names, else by the time column if there is one and the footer's
    /// statistics do not speak against it.
    #[default]
    Detect,
    /// By this one.
    By(String),
    /// By none: whatever needs an order sorts.
    Unsorted,
}

/// A file and the name of the table that it becomes.
///
/// Written `NAME=FILE`, `NAME=FILE,sorted=COLUMN` or `NAME=FILE,unsorted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTable {
    /// Name of the table.
    pub name: String,
    /// A Parquet file, or a CSV file with a header.
    pub path: PathBuf,
    /// The order of its rows. Where there is one it is checked while the file is read.
    pub order: FileOrder,
}

/// Why a text does not name a table and a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not name a table and a file: write NAME=FILE, NAME=FILE,sorted=COLUMN or NAME=FILE,unsorted"
)]
pub struct FileTableError(String);

impl FromStr for FileTable {
    type Err = FileTableError;

    fn from_str(text: &str) -> Result<Self, FileTableError> {
        let (name, rest) = text.split_once('=').unwrap_or_default();
        let (path, order) = match rest.rsplit_once(',') {
            Some((path, "unsorted")) => (path, FileOrder::Unsorted),
            Some((path, option)) => match option.strip_prefix("sorted=") {
                Some(column) => (path, FileOrder::By(column.to_owned())),
                None => (rest, FileOrder::Detect),
            },
            None => (rest, FileOrder::Detect),
        };
        if name.is_empty() || path.is_empty() || order == FileOrder::By(String::new()) {
            return Err(FileTableError(text.to_owned()));
        }
        Ok(FileTable { name: name.to_owned(), path: path.into(), order })
    }
}

impl FileTable {
    /// Registers the table; returns the column by which it is taken to be sorted.
    pub(crate) async fn register(
        &self,
        context: &SessionContext,
    ) -> Result<Option<String>, QueryError> {
        let failed = |reason: String| QueryError::File {
            table: self.name.clone(),
            path: self.path.display().to_string(),
            reason,
        };
        let path = std::path::absolute(&self.path).map_err(|error| failed(error.to_string()))?;
        let url = file_url(&path).map_err(|error| failed(error.to_string()))?;
        let kind = order::kind(&path).map_err(|error| failed(error.to_string()))?;
        let state = context.state();
        let format: Arc<dyn FileFormat> = match kind {
            order::Kind::Parquet => Arc::new(
                ParquetFormat::default().with_options(state.default_table_options().parquet),
            ),
            order::Kind::Csv => Arc::new(CsvFormat::default().with_has_header(true)),
        };
        let options = ListingOptions::new(format).with_file_extension("");
        let schema = options
            .infer_schema(&state, &url)
            .await
            .map_err(|error| failed(error.strip_backtrace()))?;
        let order = order::column(&path, kind, &schema, &self.order).map_err(failed)?;
        let options = match &order {
            Some(column) => {
                options.with_file_sort_order(vec![vec![ident(column).sort(true, false)]])
            }
            None => options,
        };
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
        let listing =
            ListingTable::try_new(config).map_err(|error| failed(error.strip_backtrace()))?;
        let table = SortedFile { listing, label: self.label(), order: order.clone() };
        context
            .register_table(self.name.as_str(), Arc::new(table))
            .map_err(|error| failed(error.strip_backtrace()))?;
        Ok(order)
    }

    fn label(&self) -> String {
        format!("{}={}", self.name, self.path.display())
    }
}

fn file_url(path: &Path) -> Result<ListingTableUrl> {
    // Not parsed from text: the name of a file may hold characters that would be taken for a pattern.
    let url = url::Url::from_file_path(path).map_err(|()| {
        DataFusionError::Plan(format!("{} is not an absolute path", path.display()))
    })?;
    ListingTableUrl::try_new(url, None)
}

/// A file whose order is checked while it is read.
#[derive(Debug)]
struct SortedFile {
    listing: ListingTable,
    label: String,
    order: Option<String>,
}

#[async_trait]
impl TableProvider for SortedFile {
    fn schema(&self) -> SchemaRef {
        self.listing.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let args = ScanArgs::default()
            .with_projection(projection.map(Vec::as_slice))
            .with_filters(Some(filters))
            .with_limit(limit);
        Ok(Arc::clone(self.scan_with_args(state, args).await?.plan()))
    }

    async fn scan_with_args<'a>(
        &self,
        state: &dyn Session,
        args: ScanArgs<'a>,
    ) -> Result<ScanResult> {
        let plan =
            with_open_floats(Arc::clone(self.listing.scan_with_args(state, args).await?.plan()));
        let column = self.order.as_ref().and_then(|name| plan.schema().index_of(name).ok());
        Ok(match column {
            Some(column) => {
                Arc::new(SortedExec::new(in_one_piece(plan), column, self.label.clone())) as _
            }
            None => plan,
        }
        .into())
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.listing.supports_filters_pushdown(filters)
    }
}

fn file_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

/// Takes the bounds of float columns for estimates: Parquet leaves NaN out of them, so that DataFusion 55 makes one number
/// of a column that holds this number and NaN.
fn with_open_floats(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let Some(scan) = file_scan(&plan) else { return plan };
    let schema = Arc::clone(scan.file_source.table_schema().table_schema());
    let open = |statistics: &Statistics| {
        let mut statistics = statistics.clone();
        for (column, field) in statistics.column_statistics.iter_mut().zip(schema.fields()) {
            if field.data_type().is_floating() {
                column.min_value = std::mem::take(&mut column.min_value).to_inexact();
                column.max_value = std::mem::take(&mut column.max_value).to_inexact();
            }
        }
        statistics
    };
    let groups = scan.file_groups.iter().map(|group| {
        let files = group.iter().cloned().map(|mut file| {
            file.statistics = file.statistics.map(|statistics| Arc::new(open(&statistics)));
            file
        });
        let opened = FileGroup::new(files.collect());
        match group.file_statistics(None) {
            Some(statistics) => opened.with_statistics(Arc::new(open(statistics))),
            None => opened,
        }
    });
    let scan = FileScanConfigBuilder::from(scan.clone())
        .with_statistics(open(&scan.statistics()))
        .with_file_groups(groups.collect())
        .build();
    DataSourceExec::from_data_source(scan)
}

/// Keeps the optimizer from cutting a file into ranges: for an operator that wants its rows in order they
/// would be merged row by row again, for more work and twice the row groups in memory.
fn in_one_piece(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let Some(scan) = file_scan(&plan) else { return plan };
    // A declared partitioning is what the optimizer leaves alone.
    let partitioning = Partitioning::UnknownPartitioning(scan.file_groups.len());
    let scan = FileScanConfigBuilder::from(scan.clone())
        .with_output_partitioning(Some(partitioning))
        .build();
    DataSourceExec::from_data_source(scan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_to_name_a_file() {
        let table = |order| FileTable { name: "a".into(), path: "x=1,y.csv".into(), order };
        assert_eq!("a=x=1,y.csv".parse(), Ok(table(FileOrder::Detect)));
        assert_eq!("a=x=1,y.csv,unsorted".parse(), Ok(table(FileOrder::Unsorted)));
        assert_eq!("a=x=1,y.csv,sorted=t".parse(), Ok(table(FileOrder::By("t".into()))));
        for wrong in ["", "a", "a=", "=x", "a=x,sorted="] {
            assert!(wrong.parse::<FileTable>().is_err(), "{wrong}");
        }
    }
}
