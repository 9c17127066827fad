//! Which format a file has, and by which column it is sorted.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use datafusion::parquet::file::statistics::Statistics;

use super::table::FileOrder;

/// Names that a time column has, most telling first.
const TIME_COLUMNS: [&str; 6] = ["ts", "ts_ns", "timestamp", "timestamp_ns", "time", "time_ns"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Parquet,
    Csv,
}

/// Tells Parquet by its magic number; anything else is taken for CSV.
pub(super) fn kind(path: &Path) -> io::Result<Kind> {
    let mut magic = Vec::with_capacity(4);
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(if magic == *b"PAR1" { Kind::Parquet } else { Kind::Csv })
}

/// The column by which the rows are sorted, as far as that can be told without reading them.
pub(super) fn column(
    path: &Path,
    kind: Kind,
    schema: &Schema,
    order: &FileOrder,
) -> Result<Option<String>, String> {
    match order {
        FileOrder::Unsorted => return Ok(None),
        FileOrder::By(name) => {
            let field = schema.field_with_name(name).map_err(|_| {
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                format!("it has no column {name} to be sorted by; there are {}", names.join(", "))
            })?;
            if !is_countable(field.data_type()) {
                return Err(format!(
                    "it cannot be checked that {name} of type {} is sorted; name a column of whole \
                     numbers or timestamps, or write ,unsorted",
                    field.data_type()
                ));
            }
            return Ok(Some(name.clone()));
        }
        FileOrder::Detect => {}
    }
    let by_name = || {
        let known = |name: &&str| {
            schema.field_with_name(name).is_ok_and(|field| is_countable(field.data_type()))
        };
        TIME_COLUMNS.into_iter().find(known).map(str::to_owned)
    };
    if kind == Kind::Csv {
        return Ok(by_name());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let footer =
        ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| error.to_string())?;
    let declared = declared(&footer).filter(|name| {
        schema.field_with_name(name).is_ok_and(|field| is_countable(field.data_type()))
    });
    Ok(declared.or_else(by_name).filter(|name| row_groups_ascend(&footer, name)))
}

/// Whether the values of a type are whole numbers of some unit.
fn is_countable(data_type: &DataType) -> bool {
    data_type.is_integer()
        || (data_type.is_temporal() && !matches!(data_type, DataType::Interval(_)))
}

/// The column that every row group's `sorting_columns` begins with, if ascending.
fn declared(footer: &ParquetMetaData) -> Option<String> {
    let mut first = None;
    for group in footer.row_groups() {
        let sorting = group.sorting_columns()?.first().filter(|column| !column.descending)?;
        let index = usize::try_from(sorting.column_idx).ok()?;
        let name = group.columns().get(index)?.column_descr().name();
        if *first.get_or_insert(name) != name {
            return None;
        }
    }
    first.map(str::to_owned)
}

/// Whether the statistics allow that the row groups follow each other in order: `sorting_columns` speaks
/// only of the rows within one.
fn row_groups_ascend(footer: &ParquetMetaData, name: &str) -> bool {
    let mut last = i64::MIN;
    for group in footer.row_groups() {
        let Some(column) = group.columns().iter().find(|c| c.column_path().string() == name) else {
            return false;
        };
        let Some(Statistics::Int64(values)) = column.statistics() else { continue };
        if values.min_opt().is_some_and(|min| *min < last) {
            return false;
        }
        last = values.max_opt().copied().unwrap_or(last);
    }
    true
}
