//! The integration behind [`super::kernel::EnergyOn`].

use std::sync::Arc;

use bl_align::energy::EnergyIndex;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
};
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::kernel::EnergyOn;
use crate::operator::Output;
use crate::stamp::nanoseconds;

/// Starts the integration. `columns` are those put out, counted over the input's and the one added.
pub(super) fn integrate(
    input: SendableRecordBatchStream,
    power: SendableRecordBatchStream,
    on: &EnergyOn,
    output: Output<'_>,
) -> Result<SendableRecordBatchStream> {
    let Output { columns, schema, metrics, .. } = output;
    let integration = Integration {
        input,
        power: Some(power),
        index: EnergyIndex::new(on.what.into()),
        on: on.clone(),
        columns: columns.to_vec(),
        schema: Arc::clone(&schema),
        metrics: BaselineMetrics::new(metrics, 0),
    };
    let batches = futures::stream::try_unfold(integration, |mut integration| async move {
        let batch = integration.next().await?;
        Ok(batch.map(|batch| (batch, integration)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
}

struct Integration {
    input: SendableRecordBatchStream,
    /// None once it has ended.
    power: Option<SendableRecordBatchStream>,
    index: EnergyIndex,
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
        timer.done();
        if let Some(end_ns) = max(&to) {
            self.read_beyond(end_ns).await?;
        }
        let _timer = elapsed.timer();
        let energy_j: ArrayRef = Arc::new(self.index.energies_j(&from, &to).map_err(failed)?);
        // Rows are in the order of their first instant, so that no later one needs what is before this.
        let last =
            from.nulls().map_or(from.len().checked_sub(1), |valid| valid.valid_indices().last());
        if let Some(last) = last {
            self.index.trim_before(from.value(last));
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

    /// Reads power until a sample lies beyond `end_ns`: what is known up to there stays so.
    async fn read_beyond(&mut self, end_ns: i64) -> Result<()> {
        while self.index.last_ts_ns().is_none_or(|last_ns| last_ns <= end_ns) {
            let Some(power) = &mut self.power else { return Ok(()) };
            match power.next().await.transpose()? {
                Some(samples) => {
                    let elapsed = self.metrics.elapsed_compute().clone();
                    let _timer = elapsed.timer();
                    self.extend(&samples)?;
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
        let watts = self.on.sample.1.evaluate(samples)?.into_array(samples.num_rows())?;
        let extended = match watts.data_type() {
            DataType::Float32 => self.index.extend(&ts_ns, watts.as_primitive::<Float32Type>()),
            _ => {
                let watts = cast(&watts, &DataType::Float64)?;
                let watts: &Float64Array = watts.as_primitive::<Float64Type>();
                self.index.extend(&ts_ns, watts)
            }
        };
        extended.map_err(failed)
    }
}

fn failed(error: bl_align::energy::EnergyError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
