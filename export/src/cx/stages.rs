//! Frames from pairs of stage events.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use bl_align::pair::{Pair, PairCounts, PairOptions, PairedBy, Pipelines, StageEvents, sides};
use bl_query::{Batches, Query};
use bl_store::Session;

use super::{CxError, Frame, Metric, Report, StagePair, rows};

/// Columns of the events, in the order in which they are asked for.
const SQL: &str = "SELECT ts, stage, pipeline, frame, key_ns, pts_ns FROM pipeline";
const STAGE: usize = 1;
const PIPELINE: usize = 2;
const KEYS: [usize; 3] = [3, 4, 5];

pub(super) struct StageFrames {
    session: String,
    pair: StagePair,
    batches: Batches,
    pairing: Pipelines,
    /// The one pipeline; none before the first event.
    pipeline: Option<Option<String>>,
    last_ns: Option<i64>,
    /// Frames that began at the instant of the one before, or ended at that of their own beginning.
    timeless: u64,
    /// Whether any event of `stage_b` was recorded: without, nothing tells which frames were dropped.
    tells_drops: bool,
    /// Counted at the end.
    counts: PairCounts,
    ended: bool,
    any_ordered: bool,
}

impl StageFrames {
    pub async fn open(query: &Query, session: &Session, pair: &StagePair) -> Result<Self, CxError> {
        let wanted = wanted(pair);
        let batches = rows::ask(query, &format!("{SQL} WHERE {wanted} ORDER BY ts")).await?;
        Ok(Self {
            session: session.id().to_string(),
            pair: pair.clone(),
            batches,
            pairing: Pipelines::new(PairOptions {
                window_ns: pair.window_ns,
                ..PairOptions::default()
            }),
            pipeline: None,
            last_ns: None,
            timeless: 0,
            tells_drops: pair.metric == Metric::Latency || is_seen(query, pair).await?,
            counts: PairCounts::default(),
            ended: false,
            any_ordered: false,
        })
    }

    pub async fn next(&mut self, query: &Query, frames: &mut Vec<Frame>) -> Result<bool, CxError> {
        while frames.is_empty() && !self.ended {
            match self.batches.next().await {
                Some(batch) => {
                    let batch = batch?;
                    if !self.is_one_pipeline(&batch)? {
                        return Err(self.several_pipelines(query).await?);
                    }
                    self.accept(&batch)?;
                }
                None => {
                    self.ended = true;
                    self.pairing.finish();
                    self.counts = self.pairing.counts();
                }
            }
            self.put(frames);
        }
        Ok(!frames.is_empty())
    }

    pub async fn finish(&self, query: &Query, report: &mut Report) -> Result<(), CxError> {
        let counts = self.counts;
        let StagePair { stage_a, stage_b, metric, .. } = &self.pair;
        if report.frames == 0 {
            return Err(self.nothing(query).await?);
        }
        let notes = &mut report.notes;
        if *metric == Metric::Latency && counts.dropped > 0 {
            notes.push(format!(
                "{} of {} frames never reached {stage_b}: they have no latency, and no row",
                counts.dropped,
                counts.dropped + counts.paired
            ));
        }
        if !self.tells_drops {
            notes.push(format!(
                "no event of {stage_b} was recorded, so that nothing tells which frames were dropped: none is \
                 marked"
            ));
        }
        if counts.unkeyed > 0 {
            notes.push(format!(
                "{} events without a frame number, running time or PTS were left out, as others have one",
                counts.unkeyed
            ));
        }
        if self.any_ordered {
            notes.push(format!(
                "events of {stage_a} and {stage_b} carry no frame number, running time or PTS that both tell: they were \
                 paired by their order"
            ));
        }
        if self.timeless > 0 {
            notes.push(format!(
                "{} frames of 0 ms were left out: CapFrameX would divide by them",
                self.timeless
            ));
        }
        Ok(())
    }

    fn accept(&mut self, batch: &RecordBatch) -> Result<(), CxError> {
        let ts_ns = rows::instants(batch, 0)?;
        let stage = batch.column(STAGE);
        let keys = KEYS.map(|column| rows::integers(batch, column));
        let [frame, key_ns, pts_ns] = keys;
        let keys = [frame?, key_ns?, pts_ns?];
        let keys = keys.each_ref().map(|key| (key.values().as_ref(), key.nulls()));
        let events = StageEvents { ts_ns, keys: &keys, pipeline: None };
        let sides = sides(stage, &self.pair.stage_a, &self.pair.stage_b);
        let sides = sides.map_err(|e| rows::broken(e.to_string()))?;
        self.pairing.push_columns(&events, |row| sides[row], |_| ());
        Ok(())
    }

    /// The frames that are settled.
    fn put(&mut self, frames: &mut Vec<Frame>) {
        let pairs = self.pairing.take_settled();
        frames.reserve(pairs.len());
        self.any_ordered |= pairs.iter().any(|row| row.by == Some(PairedBy::Order));
        for Pair { ts_ns, latency_ns, .. } in pairs.into_iter().map(|row| row.pair) {
            let last_ns = self.last_ns.replace(ts_ns);
            let frame_ns = match self.pair.metric {
                Metric::Latency => latency_ns,
                Metric::Interval => last_ns.map(|last_ns| ts_ns - last_ns),
            };
            let Some(frame_ns) = frame_ns else { continue };
            if frame_ns <= 0 {
                self.timeless += 1;
                continue;
            }
            let dropped = self.tells_drops && latency_ns.is_none();
            frames.push(Frame { ts_ns, frame_ns, display_ns: frame_ns, latency_ns, dropped });
        }
    }

    /// Whether all events so far are of one pipeline.
    fn is_one_pipeline(&mut self, batch: &RecordBatch) -> Result<bool, CxError> {
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let column = rows::converted(batch.column(PIPELINE), &kind)?;
        let column = column.as_dictionary::<Int32Type>();
        let names = column.values().as_string::<i32>();
        let mut last = None;
        for code in column.keys() {
            if last == Some(code) {
                continue;
            }
            last = Some(code);
            let name = code.map(|code| names.value(code as usize)).filter(|name| !name.is_empty());
            match &self.pipeline {
                Some(known) if known.as_deref() == name => {}
                Some(_) => return Ok(false),
                None => self.pipeline = Some(name.map(String::from)),
            }
        }
        Ok(true)
    }

    async fn several_pipelines(&self, query: &Query) -> Result<CxError, CxError> {
        let wanted = wanted(&self.pair);
        let sql =
            format!("SELECT DISTINCT pipeline FROM pipeline WHERE {wanted} ORDER BY pipeline");
        Ok(CxError::Several {
            session: self.session.clone(),
            what: "pipelines",
            names: rows::listed(&rows::names(query, &sql).await?),
            flag: "--pipeline",
        })
    }

    /// Why there is no frame.
    async fn nothing(&self, query: &Query) -> Result<CxError, CxError> {
        let StagePair { stage_a, stage_b, metric, window_ns, .. } = &self.pair;
        let of = of_pipeline(&self.pair);
        let sql = format!("SELECT DISTINCT stage FROM pipeline WHERE {of} ORDER BY stage");
        let stages = rows::names(query, &sql).await?;
        let is_there = |stage: &str| stages.iter().any(|name| name.as_deref() == Some(stage));
        let missing = match metric {
            _ if !is_there(stage_a) => Some(stage_a),
            Metric::Latency if !is_there(stage_b) => Some(stage_b),
            _ => None,
        };
        let session = self.session.clone();
        if let Some(stage) = missing {
            let seen = match stages.is_empty() {
                true => {
                    "it has no stage events; let your pipeline send them while `bl ingest` records"
                        .into()
                }
                false => {
                    format!("it has {}; choose with --stage-a and --stage-b", rows::listed(&stages))
                }
            };
            return Ok(CxError::NoStage { session, stage: stage.clone(), seen });
        }
        let why = match metric {
            Metric::Interval => format!("it takes two events of {stage_a} to tell a frame time"),
            Metric::Latency => format!(
                "none of {} events of {stage_a} has one of {stage_b} within {} ms; do both tell the same frame \
                 numbers? (pipeline.window_ms sets the time)",
                self.counts.dropped,
                window_ns / 1_000_000
            ),
        };
        Ok(CxError::NoFrames { session, why })
    }
}

/// Whether any event of `stage_b` was recorded.
async fn is_seen(query: &Query, pair: &StagePair) -> Result<bool, CxError> {
    let stage_b = rows::literal(&pair.stage_b);
    let sql = format!(
        "SELECT stage FROM pipeline WHERE stage = {stage_b} AND {} LIMIT 1",
        of_pipeline(pair)
    );
    Ok(!rows::names(query, &sql).await?.is_empty())
}

/// Which events belong to a pair of stages, as a condition in SQL.
fn wanted(pair: &StagePair) -> String {
    let stages =
        format!("stage IN ({}, {})", rows::literal(&pair.stage_a), rows::literal(&pair.stage_b));
    format!("{stages} AND {}", of_pipeline(pair))
}

fn of_pipeline(pair: &StagePair) -> String {
    match pair.pipeline.as_deref() {
        None => "true".into(),
        Some("") => "(pipeline IS NULL OR pipeline = '')".into(),
        Some(name) => format!("pipeline = {}", rows::literal(name)),
    }
}
