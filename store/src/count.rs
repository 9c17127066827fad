//! Rows of a session, from the footers of its files.

use std::collections::BTreeMap;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use crate::error::{Result, StoreError};
use crate::layout::SessionDir;

/// Rows of each raw table in sealed files, and the latest `ts` of all.
pub(crate) fn count_rows(dir: &SessionDir) -> Result<(BTreeMap<String, u64>, Option<i64>)> {
    let mut rows = BTreeMap::new();
    let mut last = None;
    for table in dir.raw_tables()? {
        let mut count = 0;
        for file in dir.sealed_files(&table)? {
            let footer = Footer::read(&file.path)?;
            count += footer.rows;
            last = last.max(footer.last_ts);
        }
        rows.insert(table, count);
    }
    Ok((rows, last))
}

/// What the footer of a sealed file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Rows in the file.
    pub rows: u64,
    /// Its first `ts`.
    pub first_ts: Option<i64>,
    /// Its last `ts`.
    pub last_ts: Option<i64>,
}

impl Footer {
    /// Reads it.
    ///
    /// # Errors
    /// When the file cannot be opened or is no Parquet file.
    pub fn read(path: &Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        let reader = SerializedFileReader::new(file.into_parts().0)
            .map_err(|source| StoreError::Parquet { path: path.into(), source })?;
        let metadata = reader.metadata();
        let stamps = |pick: fn(&Statistics) -> Option<i64>| {
            metadata
                .row_groups()
                .iter()
                .filter_map(move |g| g.column(0).statistics().and_then(pick))
        };
        Ok(Self {
            rows: metadata.file_metadata().num_rows() as u64,
            first_ts: stamps(|s| match s {
                Statistics::Int64(v) => v.min_opt().copied(),
                _ => None,
            })
            .min(),
            last_ts: stamps(|s| match s {
                Statistics::Int64(v) => v.max_opt().copied(),
                _ => None,
            })
            .max(),
        })
    }
}
