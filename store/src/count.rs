//! Rows of a session, from the footers of its files.

use std::collections::BTreeMap;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use crate::error::{Result, StoreError};
use crate::layout::SessionDir;
use crate::manifest::FORMAT;
use crate::parquet_file::FORMAT_KEY;

/// What the footers of a session's sealed files tell.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Rows of each raw table.
    pub rows: BTreeMap<String, u64>,
    /// The latest `ts` of all.
    pub last_ts: Option<i64>,
    /// Why files could not be counted; each sentence names its file.
    pub unreadable: Vec<String>,
}

/// Counts the rows of a session that nobody writes. A file that cannot be read is told, and is no reason to fail.
pub(crate) fn count_rows(dir: &SessionDir) -> Result<Counted> {
    let mut counted = Counted::default();
    for table in dir.raw_tables()? {
        let mut count = 0;
        for file in dir.sealed_files(&table)? {
            match Footer::read(&file.path) {
                Ok(footer) => {
                    count += footer.rows;
                    counted.last_ts = counted.last_ts.max(footer.last_ts);
                }
                Err(e) => counted.unreadable.push(e.to_string()),
            }
        }
        counted.rows.insert(table, count);
    }
    Ok(counted)
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
    /// Version of the store's format that it was written in.
    pub format: u32,
}

impl Footer {
    /// Reads it.
    ///
    /// # Errors
    /// When the file cannot be opened or is no Parquet file, and when a newer program wrote it
    /// ([`StoreError::Newer`]).
    pub fn read(path: &Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        let reader = SerializedFileReader::new(file.into_parts().0)
            .map_err(|source| StoreError::Parquet { path: path.into(), source })?;
        let metadata = reader.metadata();
        let format = metadata
            .file_metadata()
            .key_value_metadata()
            .and_then(|keys| keys.iter().find(|k| k.key == FORMAT_KEY))
            .and_then(|k| k.value.as_deref()?.parse().ok())
            .unwrap_or(1);
        if format > FORMAT {
            let what = format!("format {format}, this program knows {FORMAT}");
            return Err(StoreError::Newer { path: path.into(), what });
        }
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
            format,
        })
    }
}
