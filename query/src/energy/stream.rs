//! The integration behind [`super::kernel::EnergyOn`].

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
};
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::index::Series;
use super::kernel::EnergyOn;
use crate::columns::{Keys, NO_KEY};
use crate::operator::Output;
use crate::stamp::nanoseconds;

/// Starts the integration. `columns` are those put out, counted over the input's and the one added.
pub(super) fn integrate(
    input: SendableRecordBatchStream,
    power: SendableRecordBatchStream,
    on: &EnergyOn,
    output: Output<'_>,
) -> Result<SendableRecordBatchStream> {
    let Output { columns, schema, partition, context, metrics } = output;
    let input_schema = input.schema();
    let types = on.keys.iter().map(|(left, _)| left.data_type(&input_schema));
    let types = types.collect::<Result<Vec<_>>>()?;
    let power_schema = power.schema();
    let apart = on.apart.iter().map(|expr| expr.data_type(&power_schema));
    let apart = apart.collect::<Result<Vec<_>>>()?;
    let integration = Integration {
        meters: if apart.is_empty() { None } else { Some(Meters::new(Keys::try_new(apart)?)) },
        input,
        power: Some(power),
        series: Series::new(on.what.into()),
        keys: if types.is_empty() { None } else { Some(Keys::try_new(types)?) },
        key_exprs: on.keys.iter().cloned().unzip(),
        read_ns: None,
        reservation: MemoryConsumer::new("EnergyExec").register(context.memory_pool()),
        on: on.clone(),
        columns: columns.to_vec(),
        schema: Arc::clone(&schema),
        metrics: BaselineMetrics::new(metrics, partition),
    };
    let batches = futures::stream::try_unfold(integration, |mut integration| async move {
        let batch = integration.next().await?;
        Ok(batch.map(|batch| (batch, integration)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
}

type Exprs = Vec<Arc<dyn PhysicalExpr>>;

struct Integration {
    input: SendableRecordBatchStream,
    /// None once it has ended.
    power: Option<SendableRecordBatchStream>,
    series: Series,
    keys: Option<Keys>,
    key_exprs: (Exprs, Exprs),
    meters: Option<Meters>,
    /// Time of the last sample that was read.
    read_ns: Option<i64>,
    reservation: MemoryReservation,
    on: EnergyOn,
    columns: Vec<usize>,
    schema: SchemaRef,
    metrics: BaselineMetrics,
}

impl Integration {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.input.next().await.transpose()? else { return Ok(None) };
        let elapsed = self.metrics.elapsed_compute().clone();
        let timer = elapsed.timer();
        let (from, from_valid) = nanoseconds(&self.on.span.0, &batch)?;
        let (to, to_valid) = nanoseconds(&self.on.span.1, &batch)?;
        let (from, to) = (Int64Array::new(from, from_valid), Int64Array::new(to, to_valid));
        let keys = self.keys.as_mut().map(|keys| keys.number(&self.key_exprs.0, &batch));
        let keys = keys.transpose()?;
        timer.done();
        if let Some(end_ns) = max(&to) {
            self.read_beyond(end_ns).await?;
        }
        let _timer = elapsed.timer();
        let energy_j: ArrayRef = {
            let energies = self.series.energies_j(&from, &to, keys.as_deref());
            Arc::new(energies.map_err(failed)?)
        };
        // Rows are in the order of their first instant, so that no later one needs what is before this.
        let last =
            from.nulls().map_or(from.len().checked_sub(1), |valid| valid.valid_indices().last());
        if let Some(last) = last {
            self.series.trim_before(from.value(last));
            self.reservation.try_resize(self.series.bytes())?;
        }
        let width = batch.num_columns();
        let columns = self.columns.iter().map(|&column| {
            Arc::clone(if column < width { batch.column(column) } else { &energy_j })
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options)?;
        self.metrics.record_output(batch.num_rows());
        Ok(Some(batch))
    }

    /// Reads power until a sample lies so far beyond `end_ns` that what is known up to there stays so, whatever the key.
    async fn read_beyond(&mut self, end_ns: i64) -> Result<()> {
        let needed_ns = end_ns.saturating_add(self.on.what.tolerance_ns.max(0));
        while self.read_ns.is_none_or(|read_ns| read_ns <= needed_ns) {
            let Some(power) = &mut self.power else { return Ok(()) };
            match power.next().await.transpose()? {
                Some(samples) => {
                    let elapsed = self.metrics.elapsed_compute().clone();
                    let _timer = elapsed.timer();
                    self.extend(&samples)?;
                    self.reservation.try_resize(self.series.bytes())?;
                }
                None => self.power = None,
            }
        }
        Ok(())
    }

    fn extend(&mut self, samples: &RecordBatch) -> Result<()> {
        let (ts_ns, valid) = nanoseconds(&self.on.sample.0, samples)?;
        if valid.is_some() {
            return exec_err!(
                "a power sample without a time cannot be integrated: leave out rows where {} is null",
                self.on.sample.0
            );
        }
        self.read_ns = ts_ns.last().copied().or(self.read_ns);
        let keys = self.keys.as_mut().map(|keys| keys.number(&self.key_exprs.1, samples));
        let (keys, series) = (keys.transpose()?, &mut self.series);
        let keys = keys.as_deref();
        if let Some(meters) = &mut self.meters {
            meters.check(&self.on.apart, samples, keys)?;
        }
        let watts = self.on.sample.1.evaluate(samples)?.into_array(samples.num_rows())?;
        let extended = match watts.data_type() {
            DataType::Float32 => series.extend(&ts_ns, watts.as_primitive::<Float32Type>(), keys),
            _ => {
                let watts = cast(&watts, &DataType::Float64)?;
                let watts: &Float64Array = watts.as_primitive::<Float64Type>();
                series.extend(&ts_ns, watts, keys)
            }
        };
        extended.map_err(failed)
    }
}

/// Which meter each series is of.
struct Meters {
    numbers: Keys,
    of_series: Vec<Option<u32>>,
}

impl Meters {
    fn new(numbers: Keys) -> Self {
        Self { numbers, of_series: Vec::new() }
    }

    /// Fails where a sample is of another meter than those before it of its series.
    fn check(
        &mut self,
        apart: &[Arc<dyn PhysicalExpr>],
        samples: &RecordBatch,
        keys: Option<&[u32]>,
    ) -> Result<()> {
        let meters = self.numbers.group(apart, samples)?;
        for (row, meter) in meters.into_iter().enumerate() {
            let key = keys.map_or(0, |keys| keys[row]);
            if key == NO_KEY {
                continue;
            }
            if key as usize >= self.of_series.len() {
                self.of_series.resize(key as usize + 1, None);
            }
            if *self.of_series[key as usize].get_or_insert(meter) != meter {
                let name = |expr: &Arc<dyn PhysicalExpr>| match expr.downcast_ref::<Column>() {
                    Some(column) => column.name().trim_start_matches("power_").to_string(),
                    None => expr.to_string(),
                };
                let names: Vec<String> = apart.iter().map(name).collect();
                return exec_err!(
                    "the power samples are of several meters, which are never added up: they differ in {}; choose one, as \
                     in power => (SELECT * FROM benchlab WHERE device_uid = '…'), or match them with by => …",
                    names.join(", ")
                );
            }
        }
        Ok(())
    }
}

fn failed(error: bl_align::energy::EnergyError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
