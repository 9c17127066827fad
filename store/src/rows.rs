//! Rows under construction, column by column, for one table.

use std::mem::replace;
use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use bl_schemas::{Kind, Table};

/// Builds batches in a table's row schema (all columns but `session` and `node`).
///
/// Columns that a row does not set are null: a reading that is missing cannot be invented by forgetting it.
///
/// ```
/// let table = bl_schemas::table("hwmon").unwrap();
/// let mut rows = bl_store::Rows::new(table);
/// let (chip, value) = (rows.column("chip"), rows.column("value"));
/// rows.begin(1_000_000_000, "hwmon");
/// rows.str(chip, "nvme");
/// rows.f64(value, 41.85);
/// let batch = rows.finish();
/// assert_eq!(batch.num_rows(), 1);
/// ```
#[derive(Debug)]
pub struct Rows {
    table: &'static Table,
    columns: Vec<Builder>,
    rows: usize,
}

/// A column's place in [`Rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnIndex(usize);

const TS: usize = 0;
const SOURCE: usize = 1;

#[derive(Debug)]
enum Builder {
    Timestamp(TimestampNanosecondBuilder),
    Str(StringBuilder),
    I16(Int16Builder),
    I32(Int32Builder),
    I64(Int64Builder),
    U64(UInt64Builder),
    F32(Float32Builder),
    F64(Float64Builder),
    Bool(BooleanBuilder),
    Decimal(Decimal32Builder, DataType),
}

macro_rules! each {
    ($builder:expr, $b:ident => $e:expr) => {
        match $builder {
            Builder::Timestamp($b) => $e,
            Builder::Str($b) => $e,
            Builder::I16($b) => $e,
            Builder::I32($b) => $e,
            Builder::I64($b) => $e,
            Builder::U64($b) => $e,
            Builder::F32($b) => $e,
            Builder::F64($b) => $e,
            Builder::Bool($b) => $e,
            Builder::Decimal($b, _) => $e,
        }
    };
}

macro_rules! setter {
    ($(#[$doc:meta])* $name:ident, $type:ty, $variant:pat => $b:ident) => {
        $(#[$doc])*
        pub fn $name(&mut self, column: ColumnIndex, value: impl Into<Option<$type>>) {
            self.fill(column);
            match &mut self.columns[column.0] {
                $variant => $b.append_option(value.into()),
                _ => self.wrong_type(column, stringify!($name)),
            }
        }
    };
}

impl Rows {
    /// No rows yet of `table`.
    pub fn new(table: &'static Table) -> Self {
        let columns = table
            .columns
            .iter()
            .filter(|c| !c.is_constant_in_a_session())
            // Without room ahead: a row of `health` is alone in its batch, and takes no memory for a thousand.
            .map(|c| match c.kind {
                Kind::Timestamp => Builder::Timestamp(TimestampNanosecondBuilder::with_capacity(0)),
                Kind::Dict | Kind::Utf8 => Builder::Str(StringBuilder::with_capacity(0, 0)),
                Kind::I16 => Builder::I16(Int16Builder::with_capacity(0)),
                Kind::I32 => Builder::I32(Int32Builder::with_capacity(0)),
                Kind::I64 => Builder::I64(Int64Builder::with_capacity(0)),
                Kind::U64 => Builder::U64(UInt64Builder::with_capacity(0)),
                Kind::F32 => Builder::F32(Float32Builder::with_capacity(0)),
                Kind::F64 => Builder::F64(Float64Builder::with_capacity(0)),
                Kind::Bool => Builder::Bool(BooleanBuilder::with_capacity(0)),
                Kind::Decimal { .. } => {
                    Builder::Decimal(Decimal32Builder::with_capacity(0), c.kind.row_type())
                }
            })
            .collect();
        Self { table, columns, rows: 0 }
    }

    /// The table that the rows are of.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// The place of the column of that name.
    ///
    /// # Panics
    /// When the table has no such column: a slip in our own code, found by any test that runs it.
    #[allow(clippy::panic)]
    pub fn column(&self, name: &str) -> ColumnIndex {
        match self.table.row_schema().index_of(name) {
            Ok(i) => ColumnIndex(i),
            Err(_) => panic!("table {} has no column {name}", self.table.name),
        }
    }

    /// Begins the next row; what the row before did not set is null.
    pub fn begin(&mut self, ts: i64, source: &str) {
        self.rows += 1;
        self.fill(ColumnIndex(TS));
        self.fill(ColumnIndex(SOURCE));
        if let Builder::Timestamp(b) = &mut self.columns[TS] {
            b.append_value(ts);
        }
        if let Builder::Str(b) = &mut self.columns[SOURCE] {
            b.append_value(source);
        }
    }

    setter!(
        /// Sets an `i16` of the row.
        i16, i16, Builder::I16(b) => b);
    setter!(
        /// Sets an `i32` of the row.
        i32, i32, Builder::I32(b) => b);
    setter!(
        /// Sets an `i64` of the row.
        i64, i64, Builder::I64(b) => b);
    setter!(
        /// Sets a `u64` of the row.
        u64, u64, Builder::U64(b) => b);
    setter!(
        /// Sets an `f32` of the row.
        f32, f32, Builder::F32(b) => b);
    setter!(
        /// Sets an `f64` of the row.
        f64, f64, Builder::F64(b) => b);
    setter!(
        /// Sets a `bool` of the row.
        bool, bool, Builder::Bool(b) => b);
    setter!(
        /// Sets a decimal of the row by its unscaled integer (12,345 for 12.345 at scale 3).
        decimal, i32, Builder::Decimal(b, _) => b);

    /// Sets a string of the row.
    pub fn str<'a>(&mut self, column: ColumnIndex, value: impl Into<Option<&'a str>>) {
        self.fill(column);
        match &mut self.columns[column.0] {
            Builder::Str(b) => b.append_option(value.into()),
            _ => self.wrong_type(column, "str"),
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows as a batch in the table's row schema; none remain.
    #[allow(clippy::expect_used)]
    pub fn finish(&mut self) -> RecordBatch {
        self.rows += 1;
        (0..self.columns.len()).for_each(|i| self.fill(ColumnIndex(i)));
        let rows = std::mem::take(&mut self.rows) - 1;
        let arrays = self.columns.iter_mut().map(|c| -> ArrayRef {
            // Room for as many rows again: a column that grows value by value is allocated three times.
            match c {
                Builder::Decimal(b, t) => {
                    let full = replace(b, Decimal32Builder::with_capacity(rows)).finish();
                    Arc::new(full.with_data_type(t.clone()))
                }
                Builder::Timestamp(b) => Arc::new(b.finish().with_timezone("UTC")),
                other => each!(other, b => Arc::new(b.finish())),
            }
        });
        // The builders were made from the same schema and filled to the same length.
        RecordBatch::try_new(self.table.row_schema(), arrays.collect())
            .expect("rows fit the schema")
    }

    /// Pads a column with nulls up to the row before the current one.
    fn fill(&mut self, column: ColumnIndex) {
        let want = self.rows - 1;
        each!(&mut self.columns[column.0], b => {
            while b.len() < want {
                b.append_null();
            }
        });
    }

    #[allow(clippy::panic)]
    fn wrong_type(&self, column: ColumnIndex, given: &str) -> ! {
        let field = self.table.row_schema().field(column.0).clone();
        panic!("{}.{} is {}, not {given}", self.table.name, field.name(), field.data_type());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;

    #[test]
    fn what_is_not_set_is_null() {
        let mut rows = Rows::new(bl_schemas::table("benchlab").unwrap());
        let (sys, chip) = (rows.column("sys_w"), rows.column("chip_c"));
        rows.begin(1, "a");
        rows.decimal(sys, 240_125);
        rows.begin(2, "a");
        rows.decimal(chip, None);
        rows.begin(3, "a");
        rows.decimal(chip, 415);
        let batch = rows.finish();
        assert_eq!(batch.num_rows(), 3);
        assert_eq!(batch.column_by_name("sys_w").unwrap().null_count(), 2);
        assert_eq!(batch.column_by_name("chip_c").unwrap().null_count(), 2);
        assert_eq!(batch.column_by_name("fan9_rpm").unwrap().null_count(), 3);
        assert!(rows.is_empty());
        assert_eq!(rows.finish().num_rows(), 0);
    }
}
