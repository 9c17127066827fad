//! The lag of a session's meter, as far as the session tells it.

use bl_align::lag::{LagOptions, Sample, find_lag};
use bl_store::Session;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use serde::{Deserialize, Serialize};

use super::events::{InOrder, stamps};
use super::{LatencyError, arrow};

/// The lag is looked for in so much of a session, from its first reading of load on: a quarter of an hour bounds it as well
/// as a day does, and a query over a day does not wait for it.
const SOUGHT_IN_NS: i64 = 900_000_000_000;

/// How far the power of a board follows the work that causes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MeterLag {
    pub lag_ns: i64,
    /// Three standard deviations.
    pub err_ns: i64,
}

/// What is known of a meter's lag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LagNote {
    /// It was not looked for: the session goes on, or nobody wants to know.
    #[default]
    NotSought,
    /// It was, in the whole session; none can be told.
    NotFound,
    /// It was found.
    Found(MeterLag),
}

impl LagNote {
    pub fn found(self) -> Option<MeterLag> {
        match self {
            Self::Found(lag) => Some(lag),
            _ => None,
        }
    }
}

/// The two series of which one follows the other.
struct Series {
    table: &'static str,
    load: &'static str,
    /// The column that tells which row of the table counts, and its value there.
    of: (&'static str, &'static str),
    power: &'static str,
}

/// The processors' load moves their power; where that tells nothing, the first graphics card's does.
const SERIES: [Series; 2] = [
    Series { table: "cpu", load: "busy_pct", of: ("cpu", "all"), power: "cpu_w" },
    Series { table: "gpu", load: "util_pct", of: ("gpu", "0"), power: "gpu_w" },
];

/// Whether a session has what a lag is found from.
pub(crate) fn may_tell_lag(session: &Session) -> Result<bool, LatencyError> {
    let mut has_load = false;
    for series in &SERIES {
        has_load |= session.has_files_of(series.table)?;
    }
    Ok(has_load && session.has_files_of("benchlab")?)
}

/// The lag of a board. One that is no longer than its error is none.
pub(crate) fn meter_lag(session: &Session, device: &str) -> Result<LagNote, LatencyError> {
    for series in &SERIES {
        let load = samples(session, series.table, series.load, series.of, None)?;
        let Some((first_ns, _)) = load.first() else { continue };
        let span_ns = (*first_ns, first_ns.saturating_add(SOUGHT_IN_NS));
        let of = ("device_uid", device);
        let power = samples(session, "benchlab", series.power, of, Some(span_ns))?;
        let Some(lag) = find_lag(&load, &power, &LagOptions::default()) else { continue };
        if lag.lag_ns > lag.err_ns {
            let (lag_ns, err_ns) = (lag.lag_ns.round() as i64, lag.err_ns.ceil() as i64);
            return Ok(LagNote::Found(MeterLag { lag_ns, err_ns }));
        }
    }
    Ok(LagNote::NotFound)
}

/// The values of a column in the rows that count, within a span; without one, as far from the first on as it is looked for.
fn samples(
    session: &Session,
    table: &str,
    column: &str,
    (of, value): (&str, &str),
    span_ns: Option<(i64, i64)>,
) -> Result<Vec<Sample>, LatencyError> {
    let Some(table) = bl_schemas::table(table) else { return Ok(Vec::new()) };
    let mut rows = InOrder::open(
        session,
        table,
        &["ts", of, column],
        span_ns.unwrap_or((i64::MIN, i64::MAX)),
    )?;
    let mut found: Vec<Sample> = Vec::new();
    while let Some(batch) = rows.next()? {
        extend(&mut found, &batch, (of, value), column).map_err(arrow(session))?;
        let far = |first_ns: i64| first_ns.saturating_add(SOUGHT_IN_NS);
        if let (Some((first_ns, _)), Some((last_ns, _))) = (found.first(), found.last())
            && *last_ns > far(*first_ns)
        {
            let until_ns = far(*first_ns);
            found.truncate(found.partition_point(|(ts_ns, _)| *ts_ns <= until_ns));
            break;
        }
    }
    Ok(found)
}

fn extend(
    found: &mut Vec<Sample>,
    batch: &RecordBatch,
    (of, value): (&str, &str),
    column: &str,
) -> Result<(), datafusion::arrow::error::ArrowError> {
    let names = cast(&batch[of], &DataType::Utf8)?;
    let values = cast(&batch[column], &DataType::Float64)?;
    let (names, values) = (names.as_string::<i32>(), values.as_primitive::<Float64Type>());
    let rows = stamps(batch).iter().zip(names).zip(values);
    let counts = rows.filter(|((_, name), _)| name.unwrap_or_default() == value);
    found.extend(counts.map(|((ts_ns, _), value)| (*ts_ns, value)));
    Ok(())
}
