//! Frames from table `latency`: what a frame is, and when it was dropped, is told there and nowhere else.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use bl_query::{Batches, Query};

use super::{CxError, Frame, Metric, Report, StagePair, rows};

/// Columns of a frame, in the order in which they are asked for.
const PIPELINE: usize = 1;
const LATENCY_MS: usize = 2;
const DROPPED: usize = 3;
const BY_ORDER: usize = 4;
const REASON: usize = 5;

pub(super) struct StageFrames {
    session: String,
    pair: StagePair,
    /// When the recording ended; none while it goes on.
    ended_ns: Option<i64>,
    batches: Batches,
    /// The one pipeline; none before the first frame.
    pipeline: Option<Option<String>>,
    last_ns: Option<i64>,
    /// Frames that did not reach `stage_b`, since the last one that did.
    waiting: Vec<Waiting>,
    counts: Counts,
    ended: bool,
}

/// A frame without a latency.
struct Waiting {
    ts_ns: i64,
    /// Time since the frame before; the first one has none.
    interval_ns: Option<i64>,
    /// Why nothing tells whether it was dropped; none where it was.
    unsure: Option<String>,
}

/// What became of all frames that entered `stage_a`.
#[derive(Debug, Default)]
struct Counts {
    reached: u64,
    dropped: u64,
    /// On their way when the recording ended.
    in_flight: u64,
    /// Those of which nothing tells whether they were dropped, by reason.
    unsure: BTreeMap<String, u64>,
    /// Frames that began at the instant of the one before, or ended at that of their own beginning.
    timeless: u64,
    /// Whether any were paired by their order.
    by_order: bool,
}

impl StageFrames {
    /// Opens the frames of a pair of stages, of a session that ended then.
    pub async fn open(
        query: &Query,
        session: &str,
        ended_ns: Option<i64>,
        pair: &StagePair,
    ) -> Result<Self, CxError> {
        let StagePair { stage_a, stage_b, .. } = pair;
        if stage_a == stage_b {
            let text = format!("stage {stage_a:?} cannot be paired with itself: name two stages");
            return Err(CxError::Stages(text));
        }
        Ok(Self {
            session: session.into(),
            pair: pair.clone(),
            ended_ns,
            batches: rows::ask(query, &sql(pair)).await?,
            pipeline: None,
            last_ns: None,
            waiting: Vec::new(),
            counts: Counts::default(),
            ended: false,
        })
    }

    /// Fills `frames`; false at the end.
    pub async fn next(&mut self, query: &Query, frames: &mut Vec<Frame>) -> Result<bool, CxError> {
        while frames.is_empty() && !self.ended {
            match self.batches.next().await {
                Some(batch) => {
                    let batch = batch?;
                    if !self.is_one_pipeline(&batch)? {
                        return Err(self.several_pipelines(query).await?);
                    }
                    self.accept(&batch, frames)?;
                }
                None => self.end(frames),
            }
        }
        Ok(!frames.is_empty())
    }

    fn accept(&mut self, batch: &RecordBatch, frames: &mut Vec<Frame>) -> Result<(), CxError> {
        let ts_ns = rows::instants(batch, 0)?;
        let latency_ms = rows::floats(batch, LATENCY_MS)?;
        let dropped = batch.column(DROPPED);
        self.counts.by_order |= batch.column(BY_ORDER).as_boolean().true_count() > 0;
        let reasons = match dropped.null_count() {
            0 => None,
            _ => Some(rows::texts(batch, REASON)?),
        };
        frames.reserve(ts_ns.len());
        for (row, &ts_ns) in ts_ns.iter().enumerate() {
            let interval_ns = self.last_ns.replace(ts_ns).map(|last_ns| ts_ns - last_ns);
            if latency_ms.is_valid(row) {
                let latency_ns = (latency_ms.value(row) * 1e6).round() as i64;
                self.reached(ts_ns, interval_ns, latency_ns, frames);
                continue;
            }
            let reasons = reasons.as_ref().filter(|_| dropped.is_null(row));
            let unsure = reasons.map(|reasons| match reasons.is_valid(row) {
                true => reasons.value(row).to_string(),
                false => String::new(),
            });
            self.waiting.push(Waiting { ts_ns, interval_ns, unsure });
        }
        Ok(())
    }

    fn reached(
        &mut self,
        ts_ns: i64,
        interval_ns: Option<i64>,
        latency_ns: i64,
        frames: &mut Vec<Frame>,
    ) {
        // One that came later got through: those before it were overtaken, and are not on their way.
        if !self.waiting.is_empty() {
            self.settle(i64::MAX, frames);
        }
        self.counts.reached += 1;
        let frame_ns = match self.pair.metric {
            Metric::Latency => Some(latency_ns),
            Metric::Interval => interval_ns,
        };
        self.push(ts_ns, frame_ns, Some(latency_ns), false, frames);
    }

    /// Decides on the frames that wait: those that entered before `before_ns` were dropped.
    fn settle(&mut self, before_ns: i64, frames: &mut Vec<Frame>) {
        for Waiting { ts_ns, interval_ns, unsure } in std::mem::take(&mut self.waiting) {
            if let Some(reason) = unsure {
                *self.counts.unsure.entry(reason).or_default() += 1;
            } else if ts_ns >= before_ns {
                self.counts.in_flight += 1;
            } else {
                self.counts.dropped += 1;
                if self.pair.metric == Metric::Interval {
                    self.push(ts_ns, interval_ns, None, true, frames);
                }
            }
        }
    }

    /// What still waits had its window of time before the recording ended, or was on its way.
    fn end(&mut self, frames: &mut Vec<Frame>) {
        self.ended = true;
        if self.counts.reached == 0 && self.pair.metric == Metric::Interval {
            // Where no frame got through, nothing tells that one did not: see the notes.
            for Waiting { ts_ns, interval_ns, .. } in std::mem::take(&mut self.waiting) {
                self.push(ts_ns, interval_ns, None, false, frames);
            }
            return;
        }
        let window_ns = self.pair.window_ns;
        let before_ns = self
            .ended_ns
            .map_or(i64::MAX, |ended_ns| ended_ns.saturating_sub(window_ns).saturating_add(1));
        self.settle(before_ns, frames);
    }

    fn push(
        &mut self,
        ts_ns: i64,
        frame_ns: Option<i64>,
        latency_ns: Option<i64>,
        dropped: bool,
        frames: &mut Vec<Frame>,
    ) {
        match frame_ns {
            None => {}
            Some(..=0) => self.counts.timeless += 1,
            Some(frame_ns) => {
                frames.push(Frame { ts_ns, frame_ns, display_ns: frame_ns, latency_ns, dropped });
            }
        }
    }

    /// Notes what is not in the file; an error where there is nothing in it.
    pub async fn finish(&self, query: &Query, report: &mut Report) -> Result<(), CxError> {
        if report.frames == 0 {
            return Err(self.nothing(query).await?);
        }
        let StagePair { stage_a, stage_b, metric, window_ns, .. } = &self.pair;
        let Counts { reached, dropped, in_flight, .. } = self.counts;
        let notes = &mut report.notes;
        if *metric == Metric::Latency && dropped > 0 {
            notes.push(format!(
                "{dropped} of {} frames never reached {stage_b}: they have no latency, and no row",
                dropped + reached
            ));
        }
        if reached == 0 {
            let why = match is_seen(query, &self.pair).await? {
                true => format!(
                    "no event of {stage_b} belongs to one of {stage_a} within {} ms",
                    window_ns / 1_000_000
                ),
                false => format!("no event of {stage_b} was recorded"),
            };
            notes.push(format!(
                "{why}, so that nothing tells which frames were dropped: none is marked"
            ));
        }
        if in_flight > 0 {
            notes.push(format!(
                "{in_flight} frames were on their way to {stage_b} when the recording ended: they were left out"
            ));
        }
        notes.extend(self.unsure());
        if self.counts.by_order {
            notes.push(format!(
                "events of {stage_a} and {stage_b} carry no frame number, running time or PTS that both tell: they were \
                 paired by their order"
            ));
        }
        if self.counts.timeless > 0 {
            notes.push(format!(
                "{} frames of 0 ms were left out: CapFrameX would divide by them",
                self.counts.timeless
            ));
        }
        Ok(())
    }

    /// Of the frames that nothing sure is known of.
    fn unsure(&self) -> Option<String> {
        let unsure = &self.counts.unsure;
        let count: u64 = unsure.values().sum();
        let reasons: Vec<&str> =
            unsure.keys().map(String::as_str).filter(|r| !r.is_empty()).collect();
        let why = match reasons.is_empty() {
            true => String::new(),
            false => format!(" ({})", reasons.join("; ")),
        };
        (count > 0).then(|| {
            format!("nothing sure tells the latency of {count} frames{why}: they were left out")
        })
    }

    /// Whether all frames so far are of one pipeline.
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
        let sql = format!("SELECT DISTINCT pipeline FROM latency WHERE {wanted} ORDER BY pipeline");
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
        let why = match (metric, self.unsure()) {
            (_, Some(unsure)) => unsure,
            (Metric::Interval, _) => {
                format!("it takes two events of {stage_a} to tell a frame time")
            }
            (Metric::Latency, _) => format!(
                "none of {} events of {stage_a} has one of {stage_b} within {} ms; do both tell the same frame \
                 numbers? (pipeline.window_ms sets the time)",
                self.counts.dropped + self.counts.in_flight,
                window_ns / 1_000_000
            ),
        };
        Ok(CxError::NoFrames { session, why })
    }
}

/// The frames of a pair of stages, in order of time. No column of power is among them, which would have to be
/// computed.
fn sql(pair: &StagePair) -> String {
    format!(
        "SELECT ts, pipeline, latency_ms, dropped, coalesce(paired_by = 'order', false) AS by_order, \
         CASE WHEN dropped IS NULL THEN reason END AS reason FROM latency WHERE {} ORDER BY ts",
        wanted(pair)
    )
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

/// Which frames belong to a pair of stages, as a condition in SQL.
fn wanted(pair: &StagePair) -> String {
    let [stage_a, stage_b] = [&pair.stage_a, &pair.stage_b].map(|stage| rows::literal(stage));
    format!("stage_a = {stage_a} AND stage_b = {stage_b} AND {}", of_pipeline(pair))
}

fn of_pipeline(pair: &StagePair) -> String {
    match pair.pipeline.as_deref() {
        None => "true".into(),
        Some("") => "(pipeline IS NULL OR pipeline = '')".into(),
        Some(name) => format!("pipeline = {}", rows::literal(name)),
    }
}

#[cfg(test)]
mod tests;
