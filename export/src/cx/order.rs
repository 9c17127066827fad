//! What a person asked to have exported, and what is chosen where they left it open.

use std::collections::HashSet;
use std::path::PathBuf;

use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_schemas::FRAME_STAGES;
use bl_store::{Session, SessionId, Store, StoreError};

use super::{
    Application, CxError, Format, Metric, Report, Request, Source, StagePair, file_name, rows,
    write_csv, write_json,
};
use crate::StagedFile;

/// What was asked for. What is `None` is chosen.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Stage where frames begin.
    pub stage_a: Option<String>,
    /// Stage where they end.
    pub stage_b: Option<String>,
    /// The pipeline.
    pub pipeline: Option<String>,
    /// An imported frame log.
    pub log: Option<String>,
    /// Name of the application.
    pub application: Option<String>,
    /// UID of the board.
    pub board: Option<String>,
    /// What stands as frame time: the latency, if nothing else is asked for.
    pub metric: Option<Metric>,
    /// The form of the file.
    pub format: Option<Format>,
    /// The file.
    pub output: Option<PathBuf>,
    /// The folder that the file goes into under a name of its own.
    pub folder: Option<PathBuf>,
}

/// What is chosen.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Stage where frames begin.
    pub stage_a: String,
    /// Stage where they end.
    pub stage_b: String,
    /// The longest time from one to the other.
    pub window_ns: i64,
    /// Name of the application.
    pub application: String,
    /// Whether somebody chose that name: then it goes before the one that a frame log tells.
    pub is_application_chosen: bool,
    /// The form of files.
    pub format: Format,
    /// The folder of files; without one, that of the session.
    pub folder: Option<PathBuf>,
}

/// Writes files for CapFrameX from a store.
#[derive(Debug)]
pub struct Exporter {
    store: Store,
    order: Order,
    defaults: Defaults,
}

impl Exporter {
    /// Exports what `order` asks for.
    pub fn new(store: Store, order: Order, defaults: Defaults) -> Self {
        Self { store, order, defaults }
    }

    /// Exports one session. The file appears complete or not at all.
    ///
    /// # Errors
    /// [`CxError`]; see [`CxError::is_usage`].
    pub async fn export(&self, session: &Session) -> Result<(PathBuf, Report), CxError> {
        let request = self.request(session).await?;
        let (path, format) = self.target(session, &request)?;
        let mut file = StagedFile::create(&path)?;
        let report = match format {
            Format::Csv => write_csv(&self.store, session, &request, &mut file).await?,
            Format::Json => write_json(&self.store, session, &request, &mut file).await?,
        };
        file.appear()?;
        Ok((path, report))
    }

    async fn request(&self, session: &Session) -> Result<Request, CxError> {
        let Self { order, defaults, .. } = self;
        let metric = order.metric.unwrap_or(Metric::Latency);
        let source = match &order.log {
            Some(log) => Source::Log(Some(log.clone())),
            None if self.is_frame_log(session, metric).await? => Source::Log(None),
            None => Source::Stages(StagePair {
                stage_a: order.stage_a.clone().unwrap_or_else(|| defaults.stage_a.clone()),
                stage_b: order.stage_b.clone().unwrap_or_else(|| defaults.stage_b.clone()),
                pipeline: order.pipeline.clone(),
                window_ns: defaults.window_ns,
                metric,
            }),
        };
        // A log's own name goes before a default that nobody chose.
        let name = match (&order.application, &source) {
            (Some(name), _) => Some(name),
            (None, Source::Log(_)) if !defaults.is_application_chosen => None,
            (None, _) => Some(&defaults.application),
        };
        let application = name.map(|name| name.parse::<Application>()).transpose()?;
        Ok(Request { source, application, board: order.board.clone() })
    }

    /// Whether a session has frames of its own and no stages but theirs, and none was asked for.
    async fn is_frame_log(&self, session: &Session, metric: Metric) -> Result<bool, CxError> {
        let is_asked = self.order.stage_a.is_some() || self.order.stage_b.is_some();
        let has_frames = |tables: Vec<String>| tables.iter().any(|table| table == "frames");
        if is_asked || !has_frames(session.tables().map_err(of_store)?) {
            return Ok(false);
        }
        let query = Query::new(&Settings::default())?;
        let only = SessionFilter::Named(vec![session.id().clone()]);
        query.register_store(self.store.clone(), only)?;
        let sql = "SELECT DISTINCT stage FROM pipeline WHERE stage IS NOT NULL";
        let seen = rows::names(&query, sql).await?;
        let is_log = seen.iter().flatten().all(|stage| FRAME_STAGES.contains(&stage.as_str()));
        match is_log && metric == Metric::Latency {
            true => Err(CxError::Order(format!(
                "session {} has no stage events, but an imported frame log: add --metric interval",
                session.id()
            ))),
            false => Ok(is_log),
        }
    }

    /// The file and its form.
    fn target(&self, session: &Session, request: &Request) -> Result<(PathBuf, Format), CxError> {
        let Self { order, defaults, .. } = self;
        if let Some(path) = &order.output {
            let format = Format::of_file(path)?;
            return match order.format.filter(|asked| *asked != format) {
                None => Ok((path.clone(), format)),
                Some(asked) => Err(CxError::Order(format!(
                    "-o {}: with --format {1} it must end in .{1}",
                    path.display(),
                    asked.extension()
                ))),
            };
        }
        let format = order.format.unwrap_or(defaults.format);
        let folder = order.folder.clone().or_else(|| defaults.folder.clone());
        let folder = folder.unwrap_or_else(|| session.dir().path().join("cx-export"));
        Ok((folder.join(file_name(session.id().as_str(), request, format)), format))
    }
}

/// The sessions of a store that have ended, each told once.
#[derive(Debug)]
pub struct Ended {
    store: Store,
    told: HashSet<SessionId>,
}

impl Ended {
    /// Those that end from now on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn from_now(store: Store) -> Result<Self, StoreError> {
        let mut ended = Self { store, told: HashSet::new() };
        ended.take()?;
        Ok(ended)
    }

    /// Those that ended since the last call.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn take(&mut self) -> Result<Vec<Session>, StoreError> {
        let ended = self.store.sessions()?.0.into_iter().filter(|session| !session.is_live());
        Ok(ended.filter(|session| self.told.insert(session.id().clone())).collect())
    }
}

fn of_store(error: StoreError) -> CxError {
    CxError::Query(bl_query::QueryError::Store(Box::new(error)))
}
