//! The store: all sessions below one data root.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Result, StoreError};
use crate::layout::{SessionDir, names_in, sessions_dir};
use crate::names::SessionId;
use crate::recover::{self, Recovered};
use crate::session::Session;
use crate::storage::{FileSystem, Storage};

/// All sessions below one data root. It need not exist yet: it then has no sessions.
#[derive(Debug, Clone)]
pub struct Store {
    data_root: PathBuf,
    storage: Arc<dyn Storage>,
}

impl Store {
    /// The store at `data_root`.
    pub fn new(data_root: impl Into<PathBuf>) -> Self {
        Self::on(data_root, Arc::new(FileSystem))
    }

    /// The store at `data_root`, written through `storage`: for tests, as reading takes the way of the file system.
    pub fn on(data_root: impl Into<PathBuf>, storage: Arc<dyn Storage>) -> Self {
        Self { data_root: data_root.into(), storage }
    }

    /// Its folder.
    pub fn data_root(&self) -> &Path {
        &self.data_root
    }

    /// All sessions by their start, and the folders that hold no readable one with the reason.
    ///
    /// # Errors
    /// When the folder of sessions cannot be listed.
    pub fn sessions(&self) -> Result<(Vec<Session>, Vec<StoreError>)> {
        let (mut sessions, mut broken) = (Vec::new(), Vec::new());
        for name in names_in(&sessions_dir(&self.data_root))? {
            let Ok(id) = name.parse() else { continue };
            match Session::open(self.dir(&id)) {
                Ok(session) => sessions.push(session),
                Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                    let dir = self.dir(&id);
                    // Without rows it is being created.
                    if !dir.raw_tables()?.is_empty() {
                        let what = "is missing, and there are rows in its folder".into();
                        broken.push(StoreError::Manifest { path: dir.manifest(), what });
                    }
                }
                Err(e) => broken.push(e),
            }
        }
        sessions.sort_by(|a, b| {
            let key = |s: &Session| (s.manifest().started_ns, s.id().clone());
            key(a).cmp(&key(b))
        });
        Ok((sessions, broken))
    }

    /// Names of the folders of sessions, sorted; that a readable session is in each is not looked at.
    ///
    /// # Errors
    /// When the folder of sessions cannot be listed.
    pub fn session_ids(&self) -> Result<Vec<SessionId>> {
        let names = names_in(&sessions_dir(&self.data_root))?;
        let mut ids: Vec<SessionId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// The parts of a session in their order, by the names of their folders: the one of that name, and those in which it went
    /// on. Of a part, the parts of its session.
    ///
    /// # Errors
    /// When the folder of sessions cannot be listed.
    pub fn parts(&self, id: &SessionId) -> Result<Vec<SessionId>> {
        let number = |id: &SessionId| id.part().map_or(1, |(_, number)| number);
        let first = |id: &SessionId| id.part().map_or_else(|| id.clone(), |(first, _)| first);
        let mut parts = self.session_ids()?;
        parts.retain(|part| first(part) == first(id));
        parts.sort_by_key(number);
        Ok(parts)
    }

    /// The session of that name.
    ///
    /// # Errors
    /// When there is none, or its manifest cannot be read.
    pub fn session(&self, id: &SessionId) -> Result<Session> {
        match Session::open(self.dir(id)) {
            Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(StoreError::NoSession { name: id.to_string(), root: self.data_root.clone() })
            }
            other => other,
        }
    }

    /// Where a session of that name lies or would lie.
    pub fn dir(&self, id: &SessionId) -> SessionDir {
        SessionDir::new(&self.data_root, id, Arc::clone(&self.storage))
    }

    /// Seals what recorders that died have left behind, session by session.
    ///
    /// # Errors
    /// When the sessions cannot be listed; what fails for one session is in its result.
    pub fn recover(&self) -> Result<Vec<(SessionId, Result<Recovered>)>> {
        let mut results = Vec::new();
        for session in self.sessions()?.0 {
            if let Some(result) = recover::recover(&session).transpose() {
                results.push((session.id().clone(), result));
            }
        }
        Ok(results)
    }
}
