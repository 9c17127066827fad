//! Table `sessions`: what `session.json` of each session tells.

use std::sync::Arc;

use async_trait::async_trait;
use bl_store::{Session as Recorded, State};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, StringArray, TimestampNanosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

#[derive(Debug)]
pub(super) struct SessionsTable {
    sessions: Vec<Recorded>,
    schema: SchemaRef,
}

impl SessionsTable {
    pub fn new(sessions: Vec<Recorded>) -> Self {
        let time = || DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("session", DataType::Utf8, false),
            Field::new("node", DataType::Utf8, false),
            Field::new("started", time(), false),
            Field::new("ended", time(), true),
            Field::new("state", DataType::Utf8, false),
            Field::new("simulated", DataType::Boolean, false),
            Field::new("sources", DataType::Utf8, false),
            Field::new("rows", DataType::UInt64, true),
        ]);
        Self { sessions, schema: Arc::new(schema) }
    }

    fn batch(&self) -> Result<RecordBatch> {
        let each = |f: fn(&Recorded) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(self.sessions.iter().map(f)))
        };
        let stamps = |f: fn(&Recorded) -> Option<i64>| -> ArrayRef {
            let all = self.sessions.iter().map(f);
            Arc::new(TimestampNanosecondArray::from_iter(all).with_timezone("UTC"))
        };
        let columns = vec![
            each(|s| s.id().to_string()),
            each(|s| s.manifest().node.clone()),
            stamps(|s| Some(s.manifest().started_ns)),
            stamps(|s| s.manifest().ended_ns),
            each(|s| state(s).to_string()),
            Arc::new(BooleanArray::from_iter(
                self.sessions.iter().map(|s| Some(s.manifest().simulated)),
            )),
            each(|s| s.manifest().sources.join(", ")),
            Arc::new(UInt64Array::from_iter(self.sessions.iter().map(|s| {
                (s.manifest().state != State::Recording).then(|| s.manifest().rows.values().sum())
            }))),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn state(session: &Recorded) -> &'static str {
    match session.manifest().state {
        State::Recording if session.is_live() => "recording",
        State::Recording => "interrupted",
        State::Ended => "ended",
        State::Recovered => "recovered",
    }
}

#[async_trait]
impl TableProvider for SessionsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        MemTable::try_new(self.schema(), vec![vec![self.batch()?]])?
            .scan(state, projection, filters, limit)
            .await
    }
}
