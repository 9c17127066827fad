//! `clock_fit(ts, clock_ns, err_ns)`: another clock as a line over the session's, as an aggregate.

use std::mem::size_of;
use std::sync::Arc;

use bl_align::clock::{ClockReading, Exchange, fit_clock, wall_clock_steps};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use super::fields;
use crate::functions::require_number;
use crate::stamp::{array_nanoseconds, unit_ns};

/// The most that Linux slews the wall clock by (`adjtimex`); what goes beyond is a step.
const MAX_SLEW_PPM: u32 = 500;

/// The aggregate. A row is one reading: the session's stamp at its middle, what the other clock said (both count
/// nanoseconds), and half of the time that it took. Rows with a null are left out; the order does not matter.
///
/// Its value: at `at_ns` of the session's clock the other is `offset_ns` ahead, and runs faster by `drift_ppm`;
/// `err_ns` bounds the error within the span of the readings; `steps` are jumps that no slewing explains, and a clock
/// that stepped is no line: its `err_ns` covers the step. Null without a reading.
pub(crate) fn clock_fit() -> AggregateUDF {
    ClockFit { signature: Signature::any(3, Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ClockFit {
    signature: Signature,
}

impl AggregateUDFImpl for ClockFit {
    fn name(&self) -> &str {
        "clock_fit"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        if let [ts, clock, err] = arg_types {
            for (which, stamp) in [("first", ts), ("second", clock)] {
                if unit_ns(stamp).is_none() {
                    return plan_err!(
                        "clock_fit: its {which} argument is {stamp}: a stamp is a TIMESTAMP, or a BIGINT of nanoseconds"
                    );
                }
            }
            require_number("clock_fit", "third", err)?;
        }
        Ok(DataType::Struct(fields()))
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<Readings>::default())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |what: &str| {
            let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
            Arc::new(Field::new(format!("{}[{what}]", args.name), list, true))
        };
        Ok(["ts", "clock", "err"].map(list).into())
    }
}

/// The readings, in the order in which they came.
#[derive(Debug, Default)]
struct Readings(Vec<ClockReading>);

impl Readings {
    fn extend(&mut self, ts: &Int64Array, clock: &Int64Array, err: &Int64Array) {
        let rows = ts.iter().zip(clock).zip(err);
        self.0.extend(rows.filter_map(|((ts, clock), err)| {
            Some(ClockReading { monotonic_ns: ts?, realtime_ns: clock?, err_ns: err?.max(0) })
        }));
    }

    fn list(&self, of: impl Fn(&ClockReading) -> i64) -> Result<ScalarValue> {
        if i32::try_from(self.0.len()).is_err() {
            return exec_err!(
                "clock_fit: more readings than one list holds; ask over a shorter time"
            );
        }
        let values = Int64Array::from_iter_values(self.0.iter().map(of));
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let list = ListArray::try_new(field, offsets, Arc::new(values), None)?;
        Ok(ScalarValue::List(Arc::new(list)))
    }
}

impl Accumulator for Readings {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let ts = array_nanoseconds("clock_fit: the stamp", &values[0])?;
        let clock = array_nanoseconds("clock_fit: the other clock", &values[1])?;
        let err = cast(&values[2], &DataType::Int64)?;
        self.extend(&ts, &clock, err.as_primitive::<Int64Type>());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [ts, clock, err] = [0, 1, 2].map(|at| states[at].as_list::<i32>());
        for row in 0..ts.len() {
            let [ts, clock, err] = [ts, clock, err].map(|list| list.value(row));
            let [ts, clock, err] = [&ts, &clock, &err].map(|of| of.as_primitive::<Int64Type>());
            self.extend(ts, clock, err);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            self.list(|reading| reading.monotonic_ns)?,
            self.list(|reading| reading.realtime_ns)?,
            self.list(|reading| reading.err_ns)?,
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let order = |r: &ClockReading| (r.monotonic_ns, r.realtime_ns, r.err_ns);
        self.0.sort_unstable_by_key(order);
        let exchanges = self.0.iter().map(|reading| Exchange {
            sent_ns: reading.monotonic_ns.saturating_sub(reading.err_ns),
            remote_ns: reading.realtime_ns,
            received_ns: reading.monotonic_ns.saturating_add(reading.err_ns),
        });
        let Some(fit) = fit_clock(&exchanges.collect::<Vec<_>>()) else {
            return Ok(ScalarStructBuilder::new_null(fields()));
        };
        let steps = wall_clock_steps(&self.0, MAX_SLEW_PPM).len();
        let values = [
            ScalarValue::Int64(Some(fit.at_ns)),
            ScalarValue::Float64(Some(fit.offset_ns)),
            ScalarValue::Float64(Some(fit.drift_ppm)),
            ScalarValue::Float64(Some(fit.err_ns)),
            ScalarValue::Int64(Some(self.0.len() as i64)),
            ScalarValue::Int64(Some(steps as i64)),
        ];
        let builder = fields()
            .iter()
            .zip(values)
            .fold(ScalarStructBuilder::new(), |builder, (field, value)| {
                builder.with_scalar(Arc::clone(field), value)
            });
        builder.build()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.capacity() * size_of::<ClockReading>()
    }
}
