//! Rows of table `process`.

use bl_store::clock::Anchor;
use bl_store::{ColumnIndex, Rows};

use super::{NAME, Row};
use crate::source::rows_of;

const I64: [&str; 8] = [
    "start_ms",
    "user_ms",
    "system_ms",
    "rss_bytes",
    "read_bytes",
    "write_bytes",
    "gpu_busy_ns",
    "gpu_mem_bytes",
];
const OTHER: [&str; 10] = [
    "pid",
    "name",
    "cgroup",
    "is_own",
    "threads",
    "cpu_pct",
    "gpu_pct",
    "gpu_uuid",
    "read_bytes_per_s",
    "write_bytes_per_s",
];

pub(super) struct ProcessTable {
    pub(super) rows: Rows,
    i64: [ColumnIndex; I64.len()],
    other: [ColumnIndex; OTHER.len()],
    page_bytes: u64,
}

impl ProcessTable {
    pub(super) fn new() -> Self {
        let rows = rows_of("process");
        Self {
            i64: I64.map(|name| rows.column(name)),
            other: OTHER.map(|name| rows.column(name)),
            page_bytes: rustix::param::page_size() as u64,
            rows,
        }
    }

    pub(super) fn add(&mut self, anchor: Anchor, row: &Row) {
        let Row { pid, is_own, known, io_per_s } = row;
        let (stat, work, rows) = (&known.stat, &known.work, &mut self.rows);
        let [io_read, io_written] = match known.io {
            Some((_, [read, written])) => [Some(read), Some(written)],
            None => [None; 2],
        };
        let counts = [
            stat.start_ticks.checked_mul(10),
            stat.user_ticks.checked_mul(10),
            stat.system_ticks.checked_mul(10),
            stat.rss_pages.checked_mul(self.page_bytes),
            io_read,
            io_written,
            work.busy_ns,
            work.memory_bytes,
        ];
        let [id, name, cgroup, own, threads, cpu, gpu, uuid, read, write] = self.other;
        rows.begin(anchor.ts(known.at_ns), NAME);
        rows.i32(id, *pid);
        rows.str(name, stat.name.as_str());
        rows.str(cgroup, known.cgroup.as_deref());
        rows.bool(own, *is_own);
        rows.i32(threads, i32::try_from(stat.threads).ok());
        rows.f32(cpu, known.cpu_pct.map(|pct| pct as f32));
        rows.f32(gpu, work.busy_pct.map(|pct| pct as f32));
        rows.str(uuid, work.card.as_deref());
        rows.f64(read, io_per_s[0]);
        rows.f64(write, io_per_s[1]);
        for (column, count) in self.i64.iter().zip(counts) {
            rows.i64(*column, count.and_then(|count| i64::try_from(count).ok()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_the_table_is_written() {
        let table = bl_schemas::table("process").unwrap();
        let mut own: Vec<_> = table.columns.iter().map(|c| c.name.as_str()).skip(4).collect();
        let mut written: Vec<_> = I64.into_iter().chain(OTHER).collect();
        own.sort_unstable();
        written.sort_unstable();
        assert_eq!(own, written);
    }
}
