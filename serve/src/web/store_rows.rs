//! Rows of sessions on disk, through `bl_query`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use bl_query::latency::LatencyOptions;
use bl_query::tables::SessionFilter;
use bl_query::{Query, QueryError, Runtime, Settings};
use bl_store::Store;
use futures::StreamExt;

use super::app::App;
use super::problem::Problem;
use crate::live::{Cells, Entry};

/// Answers of the store to the page.
#[derive(Debug, Clone)]
pub(super) struct StoreRows {
    store: Store,
    runtime: Runtime,
    memory_bytes: usize,
}

impl StoreRows {
    /// Of the store that `app` follows.
    pub fn new(app: &App) -> Self {
        Self {
            store: app.feed.options().store.clone(),
            runtime: app.runtime.clone(),
            memory_bytes: app.limits.past_memory_bytes,
        }
    }

    /// The answer to `sql` over one session.
    pub async fn of(
        &self,
        entry: &Entry,
        latency: LatencyOptions,
        sql: &str,
    ) -> Result<Vec<RecordBatch>, Problem> {
        let mut batches = Vec::new();
        self.each(entry, latency, sql, |batch| batches.push(batch)).await?;
        Ok(batches)
    }

    /// The same batch by batch, so that not all of them are in memory.
    pub async fn each(
        &self,
        entry: &Entry,
        latency: LatencyOptions,
        sql: &str,
        mut take: impl FnMut(RecordBatch),
    ) -> Result<(), Problem> {
        let settings = Settings {
            memory_bytes: Some(self.memory_bytes),
            runtime: Some(self.runtime.clone()),
            ..Settings::default()
        };
        let query = Query::new(&settings).map_err(Problem::fault)?;
        let filter = SessionFilter::Named(vec![entry.session.id().clone()]);
        query.register_store_with(self.store.clone(), filter, latency).map_err(Problem::fault)?;
        let run = |e| Problem::fault(QueryError::run(e));
        let mut stream =
            query.sql(sql).await.map_err(Problem::fault)?.execute_stream().await.map_err(run)?;
        while let Some(batch) = stream.next().await {
            take(batch.map_err(run)?);
        }
        Ok(())
    }

    /// The boards of a session: those that its recorder told of, else those that its rows are of. A board that nothing
    /// names has the empty name.
    pub async fn boards(&self, entry: &Entry) -> Result<Vec<String>, Problem> {
        let told = entry.devices();
        if !told.is_empty() {
            return Ok(told.into_iter().map(str::to_string).collect());
        }
        let sql = "SELECT DISTINCT CAST(coalesce(device_uid, '') AS VARCHAR) AS uid FROM benchlab \
                   WHERE sys_w IS NOT NULL ORDER BY uid";
        let mut boards = Vec::new();
        for batch in self.of(entry, LatencyOptions::default(), sql).await? {
            let batch = with_strings(&batch)?;
            let cells = Cells(&batch);
            boards.extend((0..cells.rows()).filter_map(|row| Some(cells.text("uid", row)?.into())));
        }
        Ok(boards)
    }
}

/// The batch with plain strings in place of dictionaries and views.
pub(super) fn with_strings(batch: &RecordBatch) -> Result<RecordBatch, Problem> {
    let schema = batch.schema();
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let kind = match field.data_type() {
            DataType::Dictionary(..) | DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            other => other.clone(),
        };
        columns.push(cast(column, &kind).map_err(Problem::fault)?);
        fields.push(Field::new(field.name(), kind, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Problem::fault)
}
