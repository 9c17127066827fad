//! From documents to rows of table `benchlab`.

use bl_store::clock::monotonic_ns;
use serde_json::Value;

use crate::draft::{Draft, Tables, add_sums};
use crate::serial::protocol::{RAILS, RailReading};
use crate::source::{Context, Faults, Reason};

/// The table.
pub(super) const TABLE: &str = "benchlab";

/// An integer of 16 bits that a board sends for what it does not measure, in thousandths.
pub(super) const ABSENT_MILLI: f64 = 32.767;

/// The beginning of what a board says when its port is opened, as a UID would be written. The vendor's tools may take
/// it for the UID: they do not wait for it.
const GREETING: &str = "42454E43484C4142";

/// More than any of the board's rails has.
const MOST_MV: i16 = 20_000;
const MOST_MA: i32 = 1_000_000;

/// When a document's readings were taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taken {
    /// Some time before this instant of `CLOCK_MONOTONIC`: nobody knows how long.
    Before(i64),
    /// While a request was under way: sent, received.
    Within(i64, i64),
}

impl Taken {
    /// Some time before now.
    pub fn before_now() -> Self {
        Self::Before(monotonic_ns())
    }
}

/// The rows of one source.
#[derive(Debug)]
pub(super) struct BoardRows {
    source: &'static str,
    tables: Tables,
    /// What went wrong and is not told yet.
    pub faults: Faults,
    unknown_told: bool,
    greeting_told: bool,
}

impl BoardRows {
    pub fn new(source: &'static str) -> Self {
        Self {
            source,
            tables: Tables::new(&[TABLE]),
            faults: Faults::default(),
            unknown_told: false,
            greeting_told: false,
        }
    }

    /// Makes a row of what `fill` takes from a document, and hands it to the store. A document that makes no sense
    /// is counted and not recorded; one without a reading becomes no row.
    pub fn push(
        &mut self,
        context: &Context,
        uid: &str,
        taken: Taken,
        fill: impl FnOnce(&mut Draft<'_>) -> Result<(), String>,
    ) {
        let mut draft = Draft::new(&self.tables);
        let filled = fill(&mut draft).and_then(|()| complete(&mut draft, uid, taken));
        if let Err(why) = filled {
            return self.malformed(context, format!("{uid} was not recorded: {why}"));
        }
        let unknown = std::mem::take(&mut draft.unknown);
        let cells = draft.into_cells();
        let ts = context.anchor().ts(taken.ts_ns());
        self.tables.write(ts, self.source, cells);
        for table in self.tables.each() {
            context.flush(&mut table.rows);
        }
        self.tell_unknown(context, &unknown);
        if is_greeting(uid) && !std::mem::replace(&mut self.greeting_told, true) {
            let detail = "the server took the board's greeting for its UID, which stays null: restart the server";
            context.health(Reason::Malformed, 1, detail);
        }
    }

    /// Counts a document that makes no sense.
    pub fn malformed(&mut self, context: &Context, why: impl AsRef<str>) {
        self.faults.gather(Reason::Malformed, 1, why);
        self.faults.tell(context);
    }

    fn tell_unknown(&mut self, context: &Context, unknown: &[String]) {
        if !unknown.is_empty() && !self.unknown_told {
            self.unknown_told = true;
            let some = unknown.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
            let detail = format!("no column for what the server sends as {some}");
            context.health(Reason::Unsupported, unknown.len() as u64, detail);
        }
    }
}

impl Taken {
    /// The middle of what is known.
    fn ts_ns(self) -> i64 {
        match self {
            Self::Before(ns) => ns,
            Self::Within(sent, received) => sent + (received - sent) / 2,
        }
    }
}

/// Adds what a row has beside its readings.
fn complete(draft: &mut Draft<'_>, uid: &str, taken: Taken) -> Result<(), String> {
    if draft.is_empty() {
        return Ok(());
    }
    check_rails(draft)?;
    add_sums(draft);
    if !is_greeting(uid) {
        draft.set(TABLE, "device_uid", "uid", &Value::from(uid))?;
    }
    if let Taken::Within(sent, received) = taken {
        let rtt_ns = received - sent;
        draft.set(TABLE, "rtt_ns", "rtt_ns", &Value::from(rtt_ns))?;
        draft.set(TABLE, "ts_err_ns", "ts_err_ns", &Value::from(rtt_ns / 2 + rtt_ns % 2))?;
    }
    Ok(())
}

fn is_greeting(uid: &str) -> bool {
    uid.starts_with(GREETING)
}

/// Whether the readings of power can be a board's: a server that is out of step with its board, or takes it for another
/// model, sends numbers that are made of the wrong bytes.
fn check_rails(draft: &Draft<'_>) -> Result<(), String> {
    for name in RAILS {
        let [v, a, w] =
            ["v", "a", "w"].map(|unit| draft.unscaled(TABLE, &format!("{name}_{unit}")));
        let (Some(v), Some(current_ma), Some(power_mw)) = (v, a, w) else { continue };
        let voltage_mv = i16::try_from(v).map_err(|_| format!("{name} cannot have {v} mV"))?;
        check_rail(name, RailReading { voltage_mv, current_ma, power_mw })?;
    }
    Ok(())
}

/// Whether the readings of one rail can belong together. Of what a server says nothing else shows that it reads the wrong
/// bytes, so power has to be about the product of voltage and current here.
pub(super) fn check_rail(name: &'static str, rail: RailReading) -> Result<(), String> {
    let RailReading { voltage_mv, current_ma, power_mw } = rail;
    let flows_without_voltage = voltage_mv.abs() <= 500 && current_ma.abs() >= 500;
    let is_too_much = voltage_mv.abs() > MOST_MV || current_ma.abs() > MOST_MA;
    if !rail.is_usable() {
        Ok(())
    } else if flows_without_voltage || is_too_much {
        Err(format!("{name} cannot have {voltage_mv} mV and {current_ma} mA"))
    } else {
        check_product(name, voltage_mv.into(), current_ma.into(), power_mw.into())
    }
}

/// Whether power is about the product; only about, as a board filters the three on its own while the load changes.
fn check_product(
    name: &'static str,
    voltage_mv: i64,
    current_ma: i64,
    power_mw: i64,
) -> Result<(), String> {
    let product_mw = voltage_mv * current_ma / 1000;
    let tolerance_mw = 2_000 + product_mw.abs().max(power_mw.abs()) / 4;
    if (product_mw - power_mw).abs() <= tolerance_mw {
        return Ok(());
    }
    Err(format!("{name} cannot have {power_mw} mW where voltage and current make {product_mw} mW"))
}

/// Whether a value is a reading: not null, and none of the ways in which the vendor's software writes that there is
/// none (`NaN` as a string, the least number of 64 bits).
pub(super) fn is_reading(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(n) => n.as_f64().is_some_and(|f| f.abs() < 1e300),
        Value::String(text) => !text.eq_ignore_ascii_case("nan"),
        _ => true,
    }
}
