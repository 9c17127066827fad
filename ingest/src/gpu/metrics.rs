//! amdgpu's binary table `gpu_metrics` (Linux drivers/gpu/drm/amd/include/kgd_pp_interface.h).

/// What of the table no other attribute tells, and whose meaning does not differ from chip to chip.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Metrics {
    /// Energy counter; in versions 1.4 to 1.6 its unit is fixed, at 2^-16 J.
    pub(super) energy_j: Option<f64>,
    /// Throttle reasons, the bits that do not depend on the chip (`indep_throttle_status`).
    pub(super) throttle: Option<i64>,
}

impl Metrics {
    /// Reads the table; `None` if it is no such table. In a version that is not known nothing is.
    pub(super) fn parse(table: &[u8]) -> Option<Self> {
        let [size_low, size_high, format, content, ..] = *table else { return None };
        // A table that is cut short, or longer than it says, is none.
        if usize::from(u16::from_le_bytes([size_low, size_high])) != table.len() {
            return None;
        }
        let mut metrics = Self::default();
        match (format, content) {
            (1, 3) => metrics.throttle = throttle(table, 112),
            (1, 4) => metrics.energy_j = energy(table, 24),
            (1, 5 | 6) => metrics.energy_j = energy(table, 88),
            (2, 2..=4) => metrics.throttle = throttle(table, 120),
            _ => {}
        }
        Some(metrics)
    }
}

/// Eight bytes; all of them ones is how the driver says that it does not know.
fn field(table: &[u8], at: usize) -> Option<u64> {
    let bytes = table.get(at..at + 8)?.try_into().ok()?;
    Some(u64::from_le_bytes(bytes)).filter(|v| *v != u64::MAX)
}

fn throttle(table: &[u8], at: usize) -> Option<i64> {
    field(table, at).map(|bits| bits as i64)
}

fn energy(table: &[u8], at: usize) -> Option<f64> {
    field(table, at).map(|count| count as f64 / 65_536.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(size: usize, format: u8, content: u8, at: usize, value: u64) -> Vec<u8> {
        let mut table = vec![0xff; size];
        table[..2].copy_from_slice(&(size as u16).to_le_bytes());
        table[2..4].copy_from_slice(&[format, content]);
        table[at..at + 8].copy_from_slice(&value.to_le_bytes());
        table
    }

    #[test]
    fn the_places_of_each_version() {
        // struct sizes of the header, by hand
        for (size, version, at) in [(120, (1, 3), 112), (128, (2, 2), 120), (152, (2, 3), 120)] {
            let found = Metrics::parse(&table(size, version.0, version.1, at, 1 << 36)).unwrap();
            assert_eq!(found, Metrics { throttle: Some(1 << 36), energy_j: None });
        }
        let found = Metrics::parse(&table(264, 1, 4, 24, 65_536 * 7 / 2)).unwrap();
        assert_eq!(found, Metrics { energy_j: Some(3.5), throttle: None });
        let found = Metrics::parse(&table(338, 1, 5, 88, 65_536)).unwrap();
        assert_eq!(found.energy_j, Some(1.0));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let unset = Metrics::parse(&table(120, 1, 3, 112, u64::MAX));
        assert_eq!(unset, Some(Metrics::default()));
        let newer = Metrics::parse(&table(300, 9, 0, 112, 1));
        assert_eq!(newer, Some(Metrics::default()));
        assert_eq!(Metrics::parse(&table(120, 1, 3, 112, 1)[..119]), None);
        assert_eq!(Metrics::parse(b"12"), None);
    }
}
