//! The power of one board over a stretch of time.

use std::sync::Arc;

use bl_align::as_of::{LeftRows, Side, as_of};
use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method as Integral};
use bl_store::Session;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, UInt64Array,
};
use datafusion::arrow::compute::{cast, filter_record_batch, take};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::events::{InOrder, stamps};
use super::{LatencyError, Method, arrow};

const COLUMNS: [&str; 6] = ["ts", "device_uid", "ts_err_ns", "sys_w", "cpu_w", "gpu_w"];

/// Power of frames, a value a frame.
pub(super) struct FramePower {
    pub power_w: ArrayRef,
    pub cpu_w: ArrayRef,
    pub gpu_w: ArrayRef,
    pub age_ms: Float64Array,
    pub err_ns: ArrayRef,
    pub energy_j: Float64Array,
}

impl FramePower {
    /// That of frames of which nothing is known.
    pub fn unknown(frames: usize) -> Self {
        let float = || Float64Array::new_null(frames);
        Self {
            power_w: Arc::new(float()),
            cpu_w: Arc::new(float()),
            gpu_w: Arc::new(float()),
            age_ms: float(),
            err_ns: Arc::new(Int64Array::new_null(frames)),
            energy_j: float(),
        }
    }
}

/// UID of the board with the first sample of the session; at one instant, the first in order of names. None where it
/// has no sample.
///
/// # Errors
/// When its files cannot be read.
pub fn first_device(session: &Session) -> Result<Option<String>, LatencyError> {
    let Some(table) = bl_schemas::table("benchlab") else { return Ok(None) };
    let mut rows = InOrder::open(session, table, &COLUMNS[..2], (i64::MIN, i64::MAX))?;
    while let Some(batch) = rows.next()? {
        let uids = cast(batch.column(1), &DataType::Utf8).map_err(arrow(session))?;
        let uids = uids.as_string::<i32>();
        // Recordings of other tools may not tell which board they are of.
        let named = stamps(&batch).iter().zip(uids).map(|(ts, uid)| (*ts, uid.unwrap_or_default()));
        if let Some((_, uid)) = named.min() {
            return Ok(Some(uid.to_string()));
        }
    }
    Ok(None)
}

/// The power and the energy of frames that are sorted by `from_ns`; `to_ns` is null where a frame was dropped.
pub(super) fn of_frames(
    session: &Session,
    method: &Method,
    device: &str,
    from_ns: &Int64Array,
    to_ns: &Int64Array,
) -> Result<FramePower, LatencyError> {
    let first = from_ns.values().first().copied().unwrap_or_default();
    let last = from_ns.values().last().copied().unwrap_or_default();
    let last = to_ns.iter().flatten().max().unwrap_or(last).max(last);
    let span = (
        first.saturating_sub(method.tolerance_ns.max(0)),
        last.saturating_add(method.tolerance_ns.max(0)),
    );
    let samples = samples(session, device, span)?;
    let ts = stamps(&samples);
    let left = LeftRows { ts: from_ns.values(), valid: None, keys: None };
    let nearest = as_of(Side::AtOrBefore, Some(method.tolerance_ns), left, ts, None)?;
    let age_ms = from_ns.values().iter().zip(&nearest);
    let age_ms = age_ms.map(|(from, at)| Some((from - ts[(*at)?]) as f64 / 1e6)).collect();
    let at = UInt64Array::from_iter(nearest.iter().map(|at| at.map(|at| at as u64)));
    let of = |name: &str, kind: &DataType| {
        let column = cast(&samples[name], kind).map_err(arrow(session))?;
        take(&column, &at, None).map_err(arrow(session))
    };
    let options = EnergyOptions {
        method: Integral::Trapezoid,
        gaps: Gaps::Null,
        tolerance_ns: method.tolerance_ns,
    };
    let mut energy = EnergyIndex::new(options);
    let watts = cast(&samples["sys_w"], &DataType::Float64).map_err(arrow(session))?;
    energy.extend(ts, watts.as_primitive::<Float64Type>())?;
    let power_w = of("sys_w", &DataType::Float64)?;
    // The age is that of a reading: a sample without one has none.
    let age_ms: Float64Array = age_ms;
    let age_ms = age_ms.iter().enumerate().map(|(row, age)| age.filter(|_| power_w.is_valid(row)));
    Ok(FramePower {
        age_ms: age_ms.collect(),
        cpu_w: of("cpu_w", &DataType::Float64)?,
        gpu_w: of("gpu_w", &DataType::Float64)?,
        err_ns: of("ts_err_ns", &DataType::Int64)?,
        energy_j: energy.energies_j(from_ns, to_ns)?,
        power_w,
    })
}

fn samples(session: &Session, device: &str, span: (i64, i64)) -> Result<RecordBatch, LatencyError> {
    let Some(table) = bl_schemas::table("benchlab") else {
        return Ok(RecordBatch::new_empty(Arc::new(datafusion::arrow::datatypes::Schema::empty())));
    };
    let rows = InOrder::open(session, table, &COLUMNS, span)?.all()?;
    let uids = cast(rows.column(1), &DataType::Utf8).map_err(arrow(session))?;
    let of_device = uids.as_string::<i32>().iter();
    let of_device = of_device.map(|uid| Some(uid.unwrap_or_default() == device)).collect();
    filter_record_batch(&rows, &of_device).map_err(arrow(session))
}

/// Nanoseconds of frames' ends.
pub(super) fn ends(from_ns: &[i64], latency_ns: &Int64Array) -> Int64Array {
    let ends = from_ns.iter().zip(latency_ns.iter());
    ends.map(|(from, latency)| latency.map(|latency| from.saturating_add(latency)))
        .collect::<datafusion::arrow::array::PrimitiveArray<Int64Type>>()
}
