//! A raw table of the store, as a provider of rows: sealed files and open segments together.

use std::sync::Arc;

use async_trait::async_trait;
use bl_schemas::Table;
use bl_store::Session as Recorded;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::prune::{OF_SESSION, is_about, passing_sessions};
use super::scan::Scan;
use super::sql_types::{sql_schema, to_sql};
use crate::latency::file_of_doubts;

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
            .map(|f| match is_about(f, &OF_SESSION) {
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
        for session in passing_sessions(state, filters, &self.sessions)? {
            let snapshot =
                session.snapshot(self.table).map_err(|e| DataFusionError::External(Box::new(e)))?;
            let mut files: Vec<_> = snapshot.sealed.into_iter().map(|f| f.path).collect();
            if self.table.name == "health" {
                files.extend(file_of_doubts(session));
            }
            sealed.push((session.id().to_string(), files));
            for batch in snapshot.open {
                open.push(to_sql(&batch, &self.schema)?);
            }
        }
        let scan = Scan { state, schema: &self.schema, projection, limit };
        scan.together(scan.sessions(sealed).await?.into_iter().chain(scan.open(open)?))
    }
}
