//! `on_clock(ts, fit)`: what another clock said at a stamp of the session.

use std::sync::Arc;

use bl_align::clock::ClockFit;
use datafusion::arrow::array::{Array, AsArray, TimestampNanosecondArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::fields;
use crate::stamp::{array_nanoseconds, unit_ns};

/// The function. Its second argument is a value of `clock_fit`; the answer is null where either is.
pub(crate) fn on_clock() -> ScalarUDF {
    OnClock { signature: Signature::any(2, Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OnClock {
    signature: Signature,
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC")))
}

impl ScalarUDFImpl for OnClock {
    fn name(&self) -> &str {
        "on_clock"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [ts, _] if unit_ns(ts).is_none() => plan_err!(
                "on_clock: its first argument is {ts}: a stamp is a TIMESTAMP, or a BIGINT of nanoseconds"
            ),
            [_, fit] if *fit != DataType::Struct(fields()) => {
                plan_err!("on_clock: its second argument is {fit}: it must be what clock_fit gives")
            }
            _ => Ok(utc()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [ts, fit] = arrays.as_slice() else {
            return exec_err!("on_clock takes a stamp and a value of clock_fit");
        };
        let ts = array_nanoseconds("on_clock: the stamp", ts)?;
        let fits = fit.as_struct();
        let number =
            |name: &str| fits.column_by_name(name).map(|c| c.as_primitive::<Float64Type>());
        let at = fits.column_by_name("at_ns").map(|c| c.as_primitive::<Int64Type>());
        let (Some(at), Some(offset), Some(drift)) = (at, number("offset_ns"), number("drift_ppm"))
        else {
            return exec_err!("on_clock: its second argument must be what clock_fit gives");
        };
        let of = |row: usize| {
            let known = fits.is_valid(row) && at.is_valid(row) && offset.is_valid(row);
            (known && ts.is_valid(row) && drift.is_valid(row)).then(|| {
                let line = ClockFit {
                    at_ns: at.value(row),
                    offset_ns: offset.value(row),
                    drift_ppm: drift.value(row),
                    err_ns: 0.0,
                    kept: 0,
                };
                line.remote_ns(ts.value(row))
            })
        };
        let stamps: TimestampNanosecondArray = (0..ts.len()).map(of).collect();
        Ok(ColumnarValue::Array(Arc::new(stamps.with_timezone("UTC"))))
    }
}
