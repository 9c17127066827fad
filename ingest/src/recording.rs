//! A recording: a session's writer, and the sources that fill it.

use std::sync::Arc;
use std::time::Duration;

use bl_store::{Manifest, SessionSpec, SessionWriter, Store, StoreError, WriteOptions};

use crate::alert::{AlertSink, AlertWatch, Raised, Rule};
use crate::network::{KitOptions, KitScanner};
use crate::serial::{BoardScanner, BoardWatch, Roster, Selector};
use crate::source::{Sink, Source, SourceStatus, Stop};
use crate::supervisor::Supervisor;

/// Sources get this long to end; one that hangs in the kernel is left behind.
const PATIENCE: Duration = Duration::from_millis(1_200);

/// A session that is being recorded.
pub struct Recording {
    writer: Arc<SessionWriter>,
    alerts: Arc<AlertSink>,
    supervisor: Supervisor,
    stop: Stop,
}

/// What was recorded.
#[derive(Debug)]
pub struct Summary {
    /// `session.json` as the session ended.
    pub manifest: Manifest,
    /// Samples and events known to be lost, by source.
    pub lost: Vec<(String, u64)>,
    /// Sources that did not end in time.
    pub hung: Vec<String>,
}

impl Recording {
    /// Begins a session; sources are to be started next.
    ///
    /// # Errors
    /// What [`SessionWriter::begin`] says.
    pub fn begin(
        store: &Store,
        spec: SessionSpec,
        options: WriteOptions,
        stop: Stop,
    ) -> Result<Self, StoreError> {
        Self::with(SessionWriter::begin(store, spec, options)?, stop)
    }

    /// The same on a disk that may be full: what it says goes to `told`, and it is tried again every second until there
    /// is room or `stop` says so.
    ///
    /// # Errors
    /// What [`SessionWriter::begin`] says; that the disk is full only when it is stopped.
    pub fn begin_when_there_is_room(
        store: &Store,
        spec: SessionSpec,
        options: WriteOptions,
        stop: Stop,
        mut told: impl FnMut(&StoreError),
    ) -> Result<Self, StoreError> {
        let wait = |e: &StoreError| {
            told(e);
            stop.sleep_ns(1_000_000_000)
        };
        let writer = SessionWriter::begin_when_there_is_room(store, spec, options, wait)?;
        Self::with(writer, stop)
    }

    fn with(writer: SessionWriter, stop: Stop) -> Result<Self, StoreError> {
        let writer = Arc::new(writer);
        let alerts = Arc::new(AlertSink::new(Arc::clone(&writer) as Arc<dyn Sink>));
        let supervisor = Supervisor::new(Arc::clone(&alerts) as Arc<dyn Sink>, stop.clone());
        supervisor.start_watchdog()?;
        Ok(Self { writer, alerts, supervisor, stop })
    }

    /// Starts a source.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(&self, source: Box<dyn Source>) -> std::io::Result<()> {
        self.supervisor.start(source)
    }

    /// Records every board that is plugged in, now or later, but for those that `others` select.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start_boards(
        &self,
        roster: Roster,
        hz: f64,
        others: &[Selector],
    ) -> std::io::Result<()> {
        let scanner = BoardScanner::new(roster, hz, others);
        self.start(Box::new(BoardWatch::new(scanner, self.supervisor.clone())))
    }

    /// Records every board of a LinuxSupportKit service, now or later.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start_kit(&self, options: KitOptions) -> std::io::Result<()> {
        self.start(Box::new(KitScanner::new(options, self.supervisor.clone())))
    }

    /// Judges what is recorded by these rules from now on.
    ///
    /// # Errors
    /// When the system has no thread left, or there are rules already.
    pub fn start_alerts(&self, rules: Vec<Rule>) -> std::io::Result<()> {
        let watch = AlertWatch::new(Arc::clone(&self.alerts), rules)
            .ok_or_else(|| std::io::Error::other("alerts are judged already"))?;
        self.start(Box::new(watch))
    }

    /// The alerts that are raised now.
    pub fn raised_alerts(&self) -> Vec<Raised> {
        self.alerts.raised()
    }

    /// The session's writer.
    pub fn writer(&self) -> &SessionWriter {
        &self.writer
    }

    /// The figures of its sources.
    pub fn statuses(&self) -> Vec<Arc<SourceStatus>> {
        self.supervisor.statuses()
    }

    /// Brings `session.json` up to date with the sources and devices found by now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_devices(&self) -> Result<(), StoreError> {
        let devices = self.supervisor.devices();
        let mut sources: Vec<_> =
            self.statuses().iter().filter(|s| s.rows() > 0).map(|s| s.name.clone()).collect();
        sources.sort();
        sources.dedup();
        self.writer.update(|m| {
            m.simulated |= sources.iter().any(|s| s.starts_with("sim."))
                || devices.iter().any(|d| d["simulated"] == true);
            m.devices = devices;
            m.sources = sources;
        })
    }

    /// Stops the sources, seals everything and ends the session.
    ///
    /// # Errors
    /// When the disk refuses; everything stays readable then, and is sealed at the next start.
    pub fn finish(self) -> Result<Summary, StoreError> {
        self.stop.stop();
        let statuses = self.statuses();
        let noted = self.note_devices();
        let hung = self.supervisor.join(PATIENCE);
        let manifest = self.writer.finish()?;
        noted?;
        let lost = statuses.iter().map(|s| (s.name.clone(), s.lost())).filter(|(_, n)| *n > 0);
        Ok(Summary { manifest, lost: lost.collect(), hung })
    }
}
