//! Which tables there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bl_store::{Session, SessionId, Store};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};

use super::latency::LatencyTable;
use super::raw::RawTable;
use super::sessions::SessionsTable;
use crate::latency::LatencyOptions;

/// Which sessions a query is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SessionFilter {
    /// All of them.
    #[default]
    All,
    /// The one that began last.
    Latest,
    /// These.
    Named(Vec<SessionId>),
}

impl SessionFilter {
    /// The sessions of the store that it lets through, by their start.
    ///
    /// # Errors
    /// When a named session is not there, or sessions cannot be listed.
    pub fn sessions(&self, store: &Store) -> bl_store::Result<Vec<Session>> {
        match self {
            SessionFilter::Named(ids) => ids.iter().map(|id| store.session(id)).collect(),
            SessionFilter::All => Ok(store.sessions()?.0),
            SessionFilter::Latest => Ok(store.sessions()?.0.pop().into_iter().collect()),
        }
    }
}

/// The tables of a store, as they are at each query: sessions may come, grow and go in between. Other tables
/// (files, views) can be registered beside them.
#[derive(Debug)]
pub struct StoreTables {
    store: Store,
    filter: SessionFilter,
    latency: LatencyOptions,
    others: MemorySchemaProvider,
}

impl StoreTables {
    /// The tables of `store`, over the sessions that `filter` lets through; table `latency` has the pairs of
    /// stages that `latency` names, and those that are aligned.
    pub fn new(store: Store, filter: SessionFilter, latency: LatencyOptions) -> Self {
        Self { store, filter, latency, others: MemorySchemaProvider::new() }
    }

    fn own(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let sessions = || {
            let found = self.filter.sessions(&self.store);
            found.map_err(|e| DataFusionError::External(Box::new(e)))
        };
        Ok(match bl_schemas::table(name) {
            Some(table) if table.aligned => {
                Some(Arc::new(LatencyTable::new(table, sessions()?, self.latency.clone())))
            }
            Some(table) => Some(Arc::new(RawTable::new(table, sessions()?))),
            None if name == "sessions" => Some(Arc::new(SessionsTable::new(sessions()?))),
            None => None,
        })
    }
}

#[async_trait]
impl SchemaProvider for StoreTables {
    fn table_names(&self) -> Vec<String> {
        let own = bl_schemas::tables().iter().map(|t| t.name.clone());
        let all: BTreeSet<_> =
            own.chain(["sessions".to_string()]).chain(self.others.table_names()).collect();
        all.into_iter().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.others.table(name).await? {
            // A file registered under a table's name stands for it.
            Some(other) => Ok(Some(other)),
            None => self.own(name),
        }
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        self.others.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.others.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        bl_schemas::table(name).is_some() || name == "sessions" || self.others.table_exist(name)
    }
}
