//! One power series, or one for each key.

use bl_align::energy::{EnergyError, EnergyIndex, EnergyOptions};
use datafusion::arrow::array::{Array, Float64Array, Int64Array, PrimitiveArray};
use datafusion::arrow::datatypes::ArrowPrimitiveType;

use crate::columns::NO_KEY;

/// What a sample takes in memory.
const SAMPLE_BYTES: usize = 32;

/// Power series by the number of their key; without keys there is one, of number 0.
pub(super) struct Series {
    options: EnergyOptions,
    of_key: Vec<EnergyIndex>,
}

impl Series {
    pub fn new(options: EnergyOptions) -> Self {
        Self { options, of_key: vec![EnergyIndex::new(options)] }
    }

    /// Appends samples in order of time; those without a key are passed over.
    pub fn extend<W>(
        &mut self,
        ts_ns: &[i64],
        watts: &PrimitiveArray<W>,
        keys: Option<&[u32]>,
    ) -> Result<(), EnergyError>
    where
        W: ArrowPrimitiveType<Native: Into<f64>>,
    {
        let Some(keys) = keys else { return self.of(0).extend(ts_ns, watts) };
        for (row, (&ts_ns, &key)) in ts_ns.iter().zip(keys).enumerate() {
            if key != NO_KEY && watts.is_valid(row) {
                self.of(key).push(ts_ns, watts.value(row))?;
            }
        }
        Ok(())
    }

    /// The energy between two instants of each row; null where its key is.
    pub fn energies_j(
        &mut self,
        from_ns: &Int64Array,
        to_ns: &Int64Array,
        keys: Option<&[u32]>,
    ) -> Result<Float64Array, EnergyError> {
        let Some(keys) = keys else { return self.of(0).energies_j(from_ns, to_ns) };
        let spans = from_ns.iter().zip(to_ns.iter()).zip(keys);
        let energies = spans.map(|((from_ns, to_ns), &key)| {
            let series = self.of_key.get(key as usize)?;
            series.energy_j(from_ns?, to_ns?)
        });
        Ok(energies.collect())
    }

    /// Forgets samples that no instant from `ts_ns` on needs.
    pub fn trim_before(&mut self, ts_ns: i64) {
        self.of_key.iter_mut().for_each(|series| series.trim_before(ts_ns));
    }

    /// Memory of the samples.
    pub fn bytes(&self) -> usize {
        self.of_key.iter().map(|series| series.len() * SAMPLE_BYTES).sum()
    }

    fn of(&mut self, key: u32) -> &mut EnergyIndex {
        let at = key as usize;
        if at >= self.of_key.len() {
            let options = self.options;
            self.of_key.resize_with(at + 1, || EnergyIndex::new(options));
        }
        &mut self.of_key[at]
    }
}
