//! Which file a failed query failed at.
//!
//! DataFusion 55 says what a decoder found and not in which file. So the files of the plan are read once more, after the
//! failure, until one fails.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::{QueryError, sentence};

/// The error of a failed query: the file that is damaged, where one is.
pub(crate) async fn name_file(error: DataFusionError, plan: &Arc<dyn ExecutionPlan>) -> QueryError {
    if !is_of_a_decoder(&error) {
        return QueryError::run(error);
    }
    let mut paths = Vec::new();
    collect(plan, &mut paths);
    let search = move || paths.into_iter().find_map(|path| Some((read(&path).err()?, path)));
    match tokio::task::spawn_blocking(search).await {
        Ok(Some((found, path))) => QueryError::damaged(&path, sentence(&found)),
        _ => QueryError::run(error),
    }
}

fn is_of_a_decoder(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::ParquetError(_) => true,
        DataFusionError::ArrowError(error, _) => {
            matches!(error.as_ref(), ArrowError::ParquetError(_) | ArrowError::ExternalError(_))
        }
        _ => false,
    }
}

/// The local Parquet files that a plan reads.
fn collect(plan: &Arc<dyn ExecutionPlan>, paths: &mut Vec<PathBuf>) {
    if let Some(source) = plan.downcast_ref::<DataSourceExec>()
        && let Some(scan) = source.data_source().downcast_ref::<FileScanConfig>()
        && scan.file_source.downcast_ref::<ParquetSource>().is_some()
    {
        let files = scan.file_groups.iter().flat_map(|group| group.iter());
        // A location has no slash at its beginning.
        paths.extend(files.map(|file| Path::new("/").join(file.object_meta.location.as_ref())));
    }
    plan.children().into_iter().for_each(|child| collect(child, paths));
}

/// Reads a whole file.
fn read(path: &Path) -> Result<(), DataFusionError> {
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
        batch?;
    }
    Ok(())
}
