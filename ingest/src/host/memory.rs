//! Table `memory`, from `/proc/meminfo`.

use std::path::Path;

use bl_store::clock::Anchor;
use bl_store::{ColumnIndex, Rows};

use super::Reader;
use super::counters::stored;
use crate::source::{Faults, rows_of};
use crate::sysfs::{KernelFile, KernelFileError, fields, lines, number};

pub(super) const NAME: &str = "host.memory";

/// The lines that are kept, by their column.
const KINDS: [(&str, &[u8]); 9] = [
    ("total_bytes", b"MemTotal:"),
    ("free_bytes", b"MemFree:"),
    ("available_bytes", b"MemAvailable:"),
    ("buffers_bytes", b"Buffers:"),
    ("cached_bytes", b"Cached:"),
    ("dirty_bytes", b"Dirty:"),
    ("shmem_bytes", b"Shmem:"),
    ("swap_total_bytes", b"SwapTotal:"),
    ("swap_free_bytes", b"SwapFree:"),
];
const TOTAL: usize = 0;
const AVAILABLE: usize = 2;

pub(super) struct Memory {
    file: KernelFile,
    rows: Rows,
    columns: [ColumnIndex; KINDS.len()],
    used: ColumnIndex,
}

impl Memory {
    pub(super) fn open(root: &Path) -> Result<Box<dyn Reader>, KernelFileError> {
        let file = KernelFile::open(root, "proc/meminfo")?;
        let rows = rows_of("memory");
        let columns = KINDS.map(|(column, _)| rows.column(column));
        let used = rows.column("used_pct");
        Ok(Box::new(Self { file, rows, columns, used }))
    }
}

impl Reader for Memory {
    fn sample(&mut self, anchor: Anchor, _: &mut Faults) -> Result<(), KernelFileError> {
        let reading = self.file.read()?;
        let sizes = parse(reading.text);
        if sizes.iter().all(Option::is_none) {
            return Err(self.file.malformed());
        }
        self.rows.begin(anchor.ts(reading.at_ns()), NAME);
        for (column, size) in self.columns.iter().zip(sizes) {
            self.rows.i64(*column, stored(size));
        }
        self.rows.f32(self.used, used_pct(sizes[TOTAL], sizes[AVAILABLE]));
        Ok(())
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

/// The sizes in bytes, in the order of [`KINDS`]; a line that the kernel does not write (MemAvailable before
/// 3.14) is `None`.
fn parse(text: &[u8]) -> [Option<u64>; KINDS.len()] {
    let mut sizes = [None; KINDS.len()];
    for line in lines(text) {
        let mut fields = fields(line);
        let name = fields.next().unwrap_or_default();
        if let Some(i) = KINDS.iter().position(|(_, known)| *known == name) {
            // "kB" in this file is 1,024 bytes (proc_meminfo(5)).
            sizes[i] = fields.next().and_then(number).and_then(|kib| kib.checked_mul(1024));
        }
    }
    sizes
}

fn used_pct(total: Option<u64>, available: Option<u64>) -> Option<f32> {
    let (total, available) = (total? as f64, available? as f64);
    (total > 0.0).then(|| (100.0 * (total - available) / total) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_line_is_null() {
        let sizes = parse(b"MemTotal:  100 kB\nMemFree: 40 kB\nCached: x kB\nHugePages_Total: 0\n");
        assert_eq!(sizes[TOTAL], Some(102_400));
        assert_eq!(sizes[1], Some(40_960));
        assert_eq!(sizes[2..], [None; 7]);
        assert_eq!(used_pct(sizes[TOTAL], sizes[AVAILABLE]), None);
        assert_eq!(used_pct(Some(400), Some(300)), Some(25.0));
        assert_eq!(used_pct(Some(0), Some(0)), None);
    }
}
