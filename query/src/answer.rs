//! The answer to one statement.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::arrow;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use futures::StreamExt;

use crate::file::name_file;
use crate::statement::{dropped, effect};
use crate::tables::is_of_store;
use crate::{Query, QueryError};

/// Batches computed ahead of whoever takes them, where there are threads to.
const READ_AHEAD: usize = 2;

/// The answer to one statement, planned and not run yet.
pub struct Answer {
    frame: DataFrame,
    tables: Vec<String>,
    effect: Option<String>,
}

/// The batches of an answer as they come.
pub struct Batches {
    stream: Pin<Box<SendableRecordBatchStream>>,
    plan: Arc<dyn ExecutionPlan>,
    tables: Vec<String>,
}

impl Query {
    /// Plans a statement whose answer is to be read.
    ///
    /// # Errors
    /// When it cannot be planned; a column or table that is not there is named, with the nearest that is. When it drops a
    /// table of the store.
    pub async fn answer(&self, statement: Statement) -> Result<Answer, QueryError> {
        let tables = self.table_names();
        self.require_droppable(&statement).await?;
        let effect = effect(&statement);
        match self.plan(statement).await {
            Ok(frame) => Ok(Answer { frame, tables, effect }),
            Err(e) => Err(e.with_advice(&tables)),
        }
    }
}

impl Query {
    /// Refuses to drop a table of the store. DataFusion would say that there is none.
    async fn require_droppable(&self, statement: &Statement) -> Result<(), QueryError> {
        for name in dropped(statement) {
            let table = self.context().table_provider(name.as_str()).await;
            if table.is_ok_and(|table| is_of_store(table.as_ref())) {
                let text = format!(
                    "{name} is a table of the store, which SQL only reads: it cannot be dropped"
                );
                return Err(QueryError::Name(text));
            }
        }
        Ok(())
    }
}

impl Answer {
    /// That of a planned statement which only reads; `tables` are the names that advice chooses from.
    pub(crate) fn new(frame: DataFrame, tables: Vec<String>) -> Self {
        Self { frame, tables, effect: None }
    }

    /// Columns of the answer.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(self.frame.schema().inner())
    }

    /// Whether the statement only reads: it defines, changes and writes nothing, and sets no option.
    pub fn only_reads(&self) -> bool {
        let options = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        options.verify_plan(self.frame.logical_plan()).is_ok()
    }

    /// What the statement did, where it has no rows that tell: it set something, or made or dropped a table.
    pub fn effect(&self) -> Option<&str> {
        self.effect.as_deref()
    }

    /// The answer as DataFusion has it.
    pub fn into_frame(self) -> DataFrame {
        self.frame
    }

    /// Runs the statement.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn stream(self) -> Result<Batches, QueryError> {
        let tables = self.tables;
        let task = Arc::new(self.frame.task_ctx());
        let plan = match self.frame.create_physical_plan().await {
            Ok(plan) => plan,
            Err(e) => return Err(QueryError::run(e).with_advice(&tables)),
        };
        match execute_stream(Arc::clone(&plan), task) {
            Ok(stream) => {
                let stream = Box::pin(spawn_buffered(stream, READ_AHEAD));
                Ok(Batches { stream, plan, tables })
            }
            Err(e) => Err(name_file(e, &plan).await.with_advice(&tables)),
        }
    }

    /// Runs the statement for its effect.
    ///
    /// # Errors
    /// When it fails.
    pub async fn drain(self) -> Result<(), QueryError> {
        let mut batches = self.stream().await?;
        while let Some(batch) = batches.next().await {
            batch?;
        }
        Ok(())
    }
}

impl Batches {
    /// The next batch.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        Some(match self.stream.next().await? {
            Ok(batch) => Ok(batch),
            Err(e) => Err(name_file(e, &self.plan).await.with_advice(&self.tables)),
        })
    }
}
