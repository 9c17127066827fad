//! `power_lag(ts, load, power)`: how long one series follows another, as an aggregate.

use std::mem::size_of;
use std::sync::Arc;

use bl_align::lag::{LagOptions, Sample, find_lag};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

/// The aggregate. Rows have a load, a power, or both; they may come in any order. Its value has the fields
/// `lag_ms`, `err_ms`, `correlation` and `confidence` of [`find_lag`]; it is null where no lag can be told.
pub(crate) fn power_lag() -> AggregateUDF {
    let ts = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
    create_udaf(
        "power_lag",
        vec![ts, DataType::Float64, DataType::Float64],
        Arc::new(DataType::Struct(fields())),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::<LagAccumulator>::default() as Box<dyn Accumulator>)),
        Arc::new(vec![list(DataType::Int64), list(DataType::Float64), list(DataType::Float64)]),
    )
}

fn fields() -> Fields {
    let field = |name| Field::new(name, DataType::Float64, true);
    ["lag_ms", "err_ms", "correlation", "confidence"].into_iter().map(field).collect()
}

#[derive(Debug, Default)]
struct LagAccumulator {
    /// Stamp, load, power.
    rows: Vec<(i64, Option<f64>, Option<f64>)>,
}

impl LagAccumulator {
    fn add(&mut self, ts: &ArrayRef, load: &ArrayRef, power: &ArrayRef) -> Result<()> {
        let ts = cast(ts, &DataType::Int64)?;
        let (load, power) =
            (load.as_primitive::<Float64Type>(), power.as_primitive::<Float64Type>());
        let rows = ts.as_primitive::<Int64Type>().iter().zip(load).zip(power);
        self.rows.extend(rows.filter_map(|((ts, load), power)| Some((ts?, load, power))));
        Ok(())
    }

    fn series(&self, of: impl Fn(&(i64, Option<f64>, Option<f64>)) -> Option<f64>) -> Vec<Sample> {
        self.rows.iter().filter_map(|row| Some((row.0, Some(of(row)?)))).collect()
    }
}

impl Accumulator for LagAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], &values[1], &values[2])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists: Vec<&ListArray> = states.iter().map(|state| state.as_list::<i32>()).collect();
        for row in 0..lists[0].len() {
            self.add(&lists[0].value(row), &lists[1].value(row), &lists[2].value(row))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |values: ArrayRef| {
            let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths([values.len()]);
            Ok::<_, datafusion::error::DataFusionError>(ScalarValue::List(Arc::new(
                ListArray::try_new(field, offsets, values, None)?,
            )))
        };
        let rows = &self.rows;
        Ok(vec![
            list(Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))))?,
            list(Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.1))))?,
            list(Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.2))))?,
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.rows.sort_by_key(|row| row.0);
        let (load, power) = (self.series(|row| row.1), self.series(|row| row.2));
        let Some(lag) = find_lag(&load, &power, &LagOptions::default()) else {
            return Ok(ScalarStructBuilder::new_null(fields()));
        };
        let values = [lag.lag_ns / 1e6, lag.err_ns / 1e6, lag.correlation, lag.confidence];
        let mut builder = ScalarStructBuilder::new();
        for (field, value) in fields().iter().zip(values) {
            builder = builder.with_scalar(Arc::clone(field), ScalarValue::Float64(Some(value)));
        }
        builder.build()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.rows.capacity() * size_of::<(i64, Option<f64>, Option<f64>)>()
    }
}
