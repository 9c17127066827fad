//! `power_lag(ts, load, power)`: how long one series follows another, as an aggregate.

use std::mem::size_of;
use std::sync::Arc;

use bl_align::lag::{LagOptions, Sample, find_lag};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use crate::functions::require_number;
use crate::stamp::{array_nanoseconds, unit_ns};

/// The aggregate. Rows have a load, a power, or both; they may come in any order. Its value has the fields
/// `lag_ms`, `err_ms`, `correlation` and `confidence` of [`find_lag`]; it is null where no lag can be told.
pub(crate) fn power_lag() -> AggregateUDF {
    PowerLag { signature: Signature::any(3, Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PowerLag {
    signature: Signature,
}

fn fields() -> Fields {
    let field = |name| Field::new(name, DataType::Float64, true);
    ["lag_ms", "err_ms", "correlation", "confidence"].into_iter().map(field).collect()
}

impl AggregateUDFImpl for PowerLag {
    fn name(&self) -> &str {
        "power_lag"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        if let [ts, load, power] = arg_types {
            if unit_ns(ts).is_none() {
                return plan_err!(
                    "power_lag: its first argument is {ts}: a stamp is a TIMESTAMP, DATE, TIME or DURATION, or a BIGINT of \
                     nanoseconds"
                );
            }
            require_number("power_lag", "second", load)?;
            require_number("power_lag", "third", power)?;
        }
        Ok(DataType::Struct(fields()))
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<LagAccumulator>::default())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |what: &str, of| {
            let list = DataType::List(Arc::new(Field::new_list_field(of, true)));
            Arc::new(Field::new(format!("{}[{what}]", args.name), list, true))
        };
        let series =
            |of: &str| [list(&format!("{of} ts"), DataType::Int64), list(of, DataType::Float64)];
        Ok([series("load"), series("power")].into_iter().flatten().collect())
    }
}

/// The values of each series, with their stamps in nanoseconds.
#[derive(Debug, Default)]
struct LagAccumulator {
    load: Vec<Sample>,
    power: Vec<Sample>,
}

/// Adds what a column holds.
fn extend(series: &mut Vec<Sample>, ts_ns: &Int64Array, values: &ArrayRef) -> Result<()> {
    let values = cast(values, &DataType::Float64)?;
    let rows = ts_ns.iter().zip(values.as_primitive::<Float64Type>());
    series.extend(rows.filter_map(|(ts_ns, value)| Some((ts_ns?, Some(value?)))));
    Ok(())
}

/// Stamps and values of a series, each as a list.
fn lists(series: &[Sample]) -> Result<[ScalarValue; 2]> {
    let stamps = Int64Array::from_iter_values(series.iter().map(|sample| sample.0));
    let values = Float64Array::from_iter(series.iter().map(|sample| sample.1));
    Ok([list(Arc::new(stamps))?, list(Arc::new(values))?])
}

fn list(values: ArrayRef) -> Result<ScalarValue> {
    if i32::try_from(values.len()).is_err() {
        return exec_err!("power_lag: more samples than one list holds; ask over a shorter time");
    }
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, values, None)?)))
}

impl Accumulator for LagAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let ts_ns = array_nanoseconds("power_lag: the stamp", &values[0])?;
        extend(&mut self.load, &ts_ns, &values[1])?;
        extend(&mut self.power, &ts_ns, &values[2])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for (series, lists) in [&mut self.load, &mut self.power].into_iter().zip(states.chunks(2)) {
            let (stamps, values) = (lists[0].as_list::<i32>(), lists[1].as_list::<i32>());
            for row in 0..stamps.len() {
                let stamps = stamps.value(row);
                extend(series, stamps.as_primitive::<Int64Type>(), &values.value(row))?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok([lists(&self.load)?, lists(&self.power)?].into_iter().flatten().collect())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // In place and stable only for stamps: of several values of one instant any is as good.
        self.load.sort_unstable_by_key(|sample| sample.0);
        self.power.sort_unstable_by_key(|sample| sample.0);
        let Some(lag) = find_lag(&self.load, &self.power, &LagOptions::default()) else {
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
        let samples = self.load.capacity() + self.power.capacity();
        size_of::<Self>() + samples * size_of::<Sample>()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{error, rows, session};
    use crate::{Query, Settings};

    /// The server of a page once ended by this: a grid of 10 ms over a year has 50 GB.
    #[tokio::test]
    async fn a_year_between_two_samples_is_no_lag() {
        let query = session(&[]).await;
        let sql = "SELECT power_lag(to_timestamp_nanos(v), 1.0*v, 2.0*v) FROM (VALUES (0), (31536000000000000)) t(v)";
        assert_eq!(rows(&query, sql).await, [""]);
    }

    #[tokio::test]
    async fn the_lag_is_the_same_for_stamps_of_every_unit_in_any_order_and_in_parts() {
        let query = session(&["CREATE TABLE s AS SELECT value AS n, value * 10 AS ms, \
            CAST(value / 31 * 7919 % 97 AS DOUBLE) AS load, \
            CAST((value - 12) / 31 * 7919 % 97 AS DOUBLE) AS power FROM range(100, 6100)"])
        .await;
        let mut answers = Vec::new();
        for ts in [
            "arrow_cast(ms, 'Timestamp(ms)')",
            "arrow_cast(ms * 1000, 'Timestamp(us, \"UTC\")')",
            "arrow_cast(ms, 'Duration(ms)')",
            "ms * 1000000",
        ] {
            for (order, partitions) in [("n", 1), ("n * 7 % 6151 DESC", 3)] {
                let set = format!("SET datafusion.execution.target_partitions = {partitions}");
                query.sql(&set).await.unwrap();
                let sql = format!(
                    "SELECT round(lag['lag_ms'], 3), round(lag['correlation'], 6) FROM \
                     (SELECT power_lag({ts}, load, power) AS lag FROM (SELECT * FROM s ORDER BY {order}))"
                );
                answers.extend(rows(&query, &sql).await);
            }
        }
        let lag_ms: f64 = answers[0].split(' ').next().unwrap().parse().unwrap();
        assert!((lag_ms - 120.0).abs() < 1.0, "{answers:?}");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }

    #[tokio::test]
    async fn its_samples_count_as_memory() {
        let settings = Settings { memory_bytes: Some(4 << 20), ..Settings::default() };
        let query = Query::new(&settings).unwrap();
        let sql = "SELECT k, power_lag(value * 1000, 1.0, 2.0) FROM (SELECT value, 1 AS k FROM range(0, 1000000)) GROUP BY k";
        let found = error(&query, sql).await;
        assert!(found.contains("Resources exhausted"), "{found}");
    }
}
