//! One connection's samples on their way into rows.

use std::time::Duration;

use bl_schemas::Table;
use bl_store::Rows;
use bl_store::clock::monotonic_ns;

use super::device::{Device, DeviceError, Reading};
use super::port::PortError;
use super::protocol::Sample;
use super::refresh::Refresh;
use super::rows::{SampleColumns, SampleRow, Stamp};
use super::rtt::RttFloor;
use super::tally::Tally;
use crate::source::{Context, Reason, SourceError, Ticker};

/// How long a snapshot takes at most, with the tries to get back in step after it.
const EXCHANGE: Duration = Duration::from_secs(5);

/// Rows wait at most that long.
const FLUSH_NS: i64 = 100_000_000;

/// So many requests in a row without a usable reply, and the port is opened anew.
const FAILURES: u32 = 3;

/// Samples one connected board.
pub(super) struct Recorder {
    source: String,
    device: Device,
    /// What `session.json` says of it.
    described: serde_json::Value,
    uid: String,
    rows: Rows,
    columns: SampleColumns,
    first_row_ns: i64,
    previous: Option<Sample>,
    /// Whether a snapshot is missing since the previous one.
    after_hole: bool,
    refresh: Refresh,
    tally: Tally,
    floor: RttFloor,
    hz: f64,
}

impl Recorder {
    pub fn new(
        source: String,
        device: Device,
        described: serde_json::Value,
        hz: f64,
    ) -> Result<Self, SourceError> {
        let table: &'static Table = bl_schemas::table("benchlab")
            .ok_or_else(|| SourceError::Fatal("there is no table benchlab".into()))?;
        let rows = Rows::new(table);
        let uid = device.identity().uid.to_string();
        Ok(Self {
            source,
            device,
            described,
            columns: SampleColumns::new(&rows),
            rows,
            first_row_ns: 0,
            previous: None,
            after_hole: false,
            refresh: Refresh::default(),
            tally: Tally::new(&uid, monotonic_ns()),
            uid,
            floor: RttFloor::new(),
            hz,
        })
    }

    /// Samples until stopping, or until the board does not answer any more.
    pub fn record(&mut self, context: &Context) -> Result<(), DeviceError> {
        let result = self.sample_on_time(context);
        context.flush(&mut self.rows);
        self.note_period(context);
        self.tally.finish(context, self.refresh.period());
        result
    }

    fn sample_on_time(&mut self, context: &Context) -> Result<(), DeviceError> {
        let mut ticker = Ticker::new(self.hz);
        let period_ns = (1e9 / self.hz) as i64;
        let mut failures = 0;
        while let Some(missed) = ticker.wait(context.stop()) {
            if missed > 0 {
                let detail = format!("{} answers too slowly for {} Hz", self.uid, self.hz);
                self.tally.lost(Reason::Late, missed, detail);
                self.after_hole = true;
            }
            context.watched(EXCHANGE, || self.sample(context, &mut failures))?;
            let now_ns = monotonic_ns();
            if now_ns + period_ns > self.first_row_ns + FLUSH_NS {
                context.flush(&mut self.rows);
            }
            if self.tally.flush(context, now_ns, self.refresh.period()) {
                self.note_period(context);
            }
        }
        Ok(())
    }

    /// Takes one snapshot; after one that failed, gets back in step.
    fn sample(&mut self, context: &Context, failures: &mut u32) -> Result<(), DeviceError> {
        match self.device.read_sensors(context.stop()) {
            Ok(reading) => {
                *failures = 0;
                self.push(context, &reading);
                Ok(())
            }
            Err(e) if e.is_gone() || e.is_stopping() => Err(e),
            Err(e) => {
                *failures += 1;
                self.note_failure(&e);
                if *failures >= FAILURES {
                    return Err(e);
                }
                self.device.resynchronise(context.stop())
            }
        }
    }

    fn note_failure(&mut self, error: &DeviceError) {
        let reason = match error {
            DeviceError::Port(PortError::Timeout { got: 0, .. }) => Reason::Timeout,
            _ => Reason::Malformed,
        };
        self.tally.lost(reason, 1, error);
        self.after_hole = true;
    }

    fn push(&mut self, context: &Context, reading: &Reading) {
        let Reading { round_trip, sample, odd } = reading;
        let anchor = context.anchor();
        let [sent, first, last] = [round_trip.sent_ns, round_trip.first_ns, round_trip.received_ns]
            .map(|at| anchor.ts(at));
        let stamp = Stamp::of_exchange(sent, first, last);
        if self.rows.is_empty() {
            self.first_row_ns = round_trip.received_ns;
        }
        let repeats = self.previous.replace(*sample).map(|previous| previous == *sample);
        let identity = self.device.identity();
        let (source, uid, contract) = (&self.source, &self.uid, &identity.contract);
        let row = SampleRow { source, uid, stamp, contract, sample, repeats };
        self.columns.push(&mut self.rows, &row);
        let received_ns = round_trip.received_ns;
        self.floor.note(context, &self.source, identity, stamp.rtt_ns, received_ns);
        if round_trip.stray_bytes > 0 {
            let detail = format!("{} bytes that nobody had asked for", round_trip.stray_bytes);
            self.tally.lost(Reason::Malformed, 1, detail);
        }
        self.tally.sampled(repeats == Some(true));
        self.tally.odd(context, odd);
        let after_hole = std::mem::take(&mut self.after_hole);
        self.refresh.note(round_trip.first_ns, repeats == Some(true), after_hole);
    }

    /// Notes in `session.json` how often the board measures anew, once that is known.
    fn note_period(&mut self, context: &Context) {
        let Some(period) = self.refresh.period() else { return };
        let ms = |ns: i64| (ns as f64 / 1e3).round() / 1e3;
        self.described["refresh_ms"] = ms(period.ns).into();
        self.described["refresh_err_ms"] = ms(period.err_ns + 500).into();
        context.device(self.described.clone());
    }
}
