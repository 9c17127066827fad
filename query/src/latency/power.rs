//! The samples of one board, read in step with the frames that they are of.

use bl_align::driver::{Driver, FirstBoard, PowerColumns};
use bl_store::Session;
use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;

use super::events::{InOrder, stamps};
use super::{LatencyError, arrow};

const COLUMNS: [&str; 6] = ["ts", "device_uid", "ts_err_ns", "sys_w", "cpu_w", "gpu_w"];

/// UID of the board with the first sample of the session: see [`FirstBoard`]. None where it has no sample.
///
/// # Errors
/// When its files cannot be read.
pub fn first_device(session: &Session) -> Result<Option<String>, LatencyError> {
    let Some(table) = bl_schemas::table("benchlab") else { return Ok(None) };
    let mut rows = InOrder::open(session, table, &COLUMNS[..2], (i64::MIN, i64::MAX))?;
    while let Some(batch) = rows.next()? {
        let uids = cast(batch.column(1), &DataType::Utf8).map_err(arrow(session))?;
        let mut first = FirstBoard::default();
        for (ts_ns, uid) in stamps(&batch).iter().zip(uids.as_string::<i32>()) {
            first.see(*ts_ns, uid.unwrap_or_default());
        }
        // Batches come in order of time.
        if let Some(uid) = first.uid() {
            return Ok(Some(uid.to_string()));
        }
    }
    Ok(None)
}

/// The samples of a board, from the first one on that a frame needed.
pub(super) struct BoardPower<'a> {
    session: &'a Session,
    device: String,
    rows: Option<InOrder<'a>>,
    is_read: bool,
}

impl<'a> BoardPower<'a> {
    pub fn of(session: &'a Session, device: String) -> Self {
        Self { session, device, rows: None, is_read: false }
    }

    /// Whether all samples that there were are read.
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// Reads as far as the finished frames of the driver need.
    pub fn feed(&mut self, driver: &mut Driver) -> Result<(), LatencyError> {
        while let Some(from_ns) = driver.wants_power(0).filter(|_| !self.is_read) {
            match self.next(from_ns)? {
                Some(batch) => self.push(&batch, driver).map_err(arrow(self.session))?,
                None => self.is_read = true,
            }
        }
        Ok(())
    }

    fn next(&mut self, from_ns: i64) -> Result<Option<RecordBatch>, LatencyError> {
        let Some(table) = bl_schemas::table("benchlab") else { return Ok(None) };
        let rows = match &mut self.rows {
            Some(rows) => rows,
            // Frames come in order of time: those to come begin later.
            none => none.insert(InOrder::open(self.session, table, &COLUMNS, (from_ns, i64::MAX))?),
        };
        rows.next()
    }

    fn push(&self, batch: &RecordBatch, driver: &mut Driver) -> Result<(), ArrowError> {
        let uids = cast(batch.column(1), &DataType::Utf8)?;
        let uids = uids.as_string::<i32>().iter();
        let of_device: BooleanArray =
            uids.map(|uid| Some(uid.unwrap_or_default() == self.device)).collect();
        let samples = match of_device.true_count() == batch.num_rows() {
            true => batch.clone(),
            false => filter_record_batch(batch, &of_device)?,
        };
        let watts =
            ["sys_w", "cpu_w", "gpu_w"].map(|name| cast(&samples[name], &DataType::Float64));
        let [sys_w, cpu_w, gpu_w] = watts;
        let (sys_w, cpu_w, gpu_w) = (sys_w?, cpu_w?, gpu_w?);
        let err_ns = cast(&samples["ts_err_ns"], &DataType::Int64)?;
        driver.push_power(&PowerColumns {
            ts_ns: stamps(&samples),
            sys_w: sys_w.as_primitive::<Float64Type>(),
            cpu_w: Some(cpu_w.as_primitive::<Float64Type>()),
            gpu_w: Some(gpu_w.as_primitive::<Float64Type>()),
            err_ns: Some(err_ns.as_primitive::<Int64Type>()),
        });
        Ok(())
    }
}
