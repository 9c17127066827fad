//! Power of the board.

use arrow::array::Array;
use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method};
use bl_query::Query;

use super::{CxError, rows};

/// Neighbouring samples this far apart are no gap, however fast the board is read: what the aligned tables allow.
const LEAST_TOLERANCE_NS: i64 = 200_000_000;

/// A gap is a spacing of more samples than this: two in a row may be lost.
const TOLERANCE_SAMPLES: i64 = 3;

/// The BENCHLAB board whose power is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Board {
    uid: Option<String>,
}

impl Board {
    /// The board of that UID, or the only one. Of several without a choice none is taken, which is noted: their
    /// power belongs to different machines.
    pub async fn choose(
        query: &Query,
        uid: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, CxError> {
        let sql = "SELECT DISTINCT device_uid FROM benchlab ORDER BY device_uid";
        let boards = rows::names(query, sql).await?;
        match (uid, &boards[..]) {
            (Some(uid), _) if boards.iter().any(|board| board.as_deref() == Some(uid)) => {
                Ok(Some(Self { uid: Some(uid.into()) }))
            }
            (Some(uid), _) => {
                let recorded = match boards.is_empty() {
                    true => "none".into(),
                    false => rows::listed(&boards),
                };
                Err(CxError::NoBoard { uid: uid.into(), recorded })
            }
            (None, []) => {
                notes.push("no BENCHLAB board was recorded: there is no power in the file".into());
                Ok(None)
            }
            (None, [only]) => Ok(Some(Self { uid: only.clone() })),
            (None, _) => {
                notes.push(format!(
                    "{} boards were recorded ({}): there is no power in the file; choose one with --device",
                    boards.len(),
                    rows::listed(&boards)
                ));
                Ok(None)
            }
        }
    }

    /// Its rows, as a condition in SQL.
    pub fn condition(&self) -> String {
        match &self.uid {
            Some(uid) => format!("device_uid = {}", rows::literal(uid)),
            None => "device_uid IS NULL".into(),
        }
    }

    /// Power of the whole system over the session.
    pub async fn system_power(&self, query: &Query) -> Result<EnergyIndex, CxError> {
        let sql = format!("SELECT ts, sys_w FROM benchlab WHERE {} ORDER BY ts", self.condition());
        let mut batches = rows::ask(query, &sql).await?;
        let (mut ts_ns, mut watts) = (Vec::new(), Vec::new());
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let power = rows::floats(&batch, 1)?;
            for (row, &instant_ns) in rows::instants(&batch, 0)?.iter().enumerate() {
                if power.is_valid(row) {
                    ts_ns.push(instant_ns);
                    watts.push(power.value(row));
                }
            }
        }
        let mut index = EnergyIndex::new(EnergyOptions {
            method: Method::Trapezoid,
            gaps: Gaps::Null,
            tolerance_ns: tolerance_ns(&ts_ns),
        });
        for (ts_ns, watts) in ts_ns.into_iter().zip(watts) {
            index.push(ts_ns, watts).map_err(|e| rows::broken(e.to_string()))?;
        }
        Ok(index)
    }
}

/// The longest spacing that is no gap, for samples in order of time.
pub(super) fn tolerance_ns(ts_ns: &[i64]) -> i64 {
    let mut spacings: Vec<i64> = ts_ns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if spacings.is_empty() {
        return LEAST_TOLERANCE_NS;
    }
    let middle = spacings.len() / 2;
    let (_, median_ns, _) = spacings.select_nth_unstable(middle);
    median_ns.saturating_mul(TOLERANCE_SAMPLES).max(LEAST_TOLERANCE_NS)
}
