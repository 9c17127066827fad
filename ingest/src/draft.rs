//! The readings of one JSON document, before they become rows: a document is taken whole or not at all.

mod board;

use std::collections::HashMap;

use bl_schemas::{Kind, Table};
use bl_store::{ColumnIndex, Rows};
use serde_json::Value;

pub(crate) use board::add_sums;

/// The readings of one document, by table.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    tables: &'a Tables,
    cells: Vec<(usize, ColumnIndex, Cell)>,
    /// Keys that have no column.
    pub unknown: Vec<String>,
    /// Values that were rounded.
    pub rounded: u64,
}

/// The rows of one table, and its own columns by name.
#[derive(Debug)]
pub(crate) struct TableRows {
    pub rows: Rows,
    columns: HashMap<&'static str, (ColumnIndex, Kind)>,
}

impl TableRows {
    pub fn new(table: &'static Table) -> Self {
        let rows = Rows::new(table);
        let own = table
            .columns
            .iter()
            .filter(|c| !matches!(c.name.as_str(), "ts" | "session" | "node" | "source"));
        let columns = own.map(|c| (c.name.as_str(), (rows.column(&c.name), c.kind))).collect();
        Self { rows, columns }
    }

    /// The place and type of a column of the table's own.
    pub fn column(&self, name: &str) -> Option<(ColumnIndex, Kind)> {
        self.columns.get(name).copied()
    }
}

/// The tables that documents go into.
#[derive(Debug)]
pub(crate) struct Tables(Vec<TableRows>);

#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Decimal(i32),
    I16(i16),
    I32(i32),
    I64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Str(String),
}

impl Tables {
    /// The tables of these names, empty.
    pub fn new(names: &[&str]) -> Self {
        Self(names.iter().copied().filter_map(bl_schemas::table).map(TableRows::new).collect())
    }

    pub fn each(&mut self) -> impl Iterator<Item = &mut TableRows> {
        self.0.iter_mut()
    }

    fn find(&self, table: &str, column: &str) -> Option<(usize, ColumnIndex, Kind)> {
        let at = self.0.iter().position(|t| t.rows.table().name == table)?;
        let (column, kind) = self.0[at].column(column)?;
        Some((at, column, kind))
    }

    /// Adds one row to each table that the cells belong to.
    pub fn write(&mut self, ts: i64, source: &str, cells: Cells) {
        for (at, table) in self.0.iter_mut().enumerate() {
            let mut begun = false;
            for (_, column, cell) in cells.0.iter().filter(|(of, _, _)| *of == at) {
                if !std::mem::replace(&mut begun, true) {
                    table.rows.begin(ts, source);
                }
                cell.write(&mut table.rows, *column);
            }
        }
    }
}

/// Finished readings.
#[derive(Debug)]
pub(crate) struct Cells(Vec<(usize, ColumnIndex, Cell)>);

impl<'a> Draft<'a> {
    pub fn new(tables: &'a Tables) -> Self {
        Self { tables, cells: Vec::new(), unknown: Vec::new(), rounded: 0 }
    }

    /// Whether there is no reading.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether there is no reading for the table.
    pub fn is_empty_in(&self, table: &str) -> bool {
        !self.cells.iter().any(|(at, _, _)| self.tables.0[*at].rows.table().name == table)
    }

    /// The readings.
    pub fn into_cells(self) -> Cells {
        Cells(self.cells)
    }

    /// Sets a column to a JSON value; `key` is what it is called in the document. A null is no reading. A column
    /// that does not exist or has a value already makes the key an unknown one.
    ///
    /// # Errors
    /// When the value does not fit the column.
    pub fn set(
        &mut self,
        table: &str,
        column: &str,
        key: &str,
        value: &Value,
    ) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        match self.tables.find(table, column) {
            Some((at, column, kind)) if !self.has(at, column) => {
                let cell = self.cell(kind, value).map_err(|why| format!("{key} {why}: {value}"))?;
                self.cells.push((at, column, cell));
            }
            _ => self.unknown.push(key.to_string()),
        }
        Ok(())
    }

    /// Sets a decimal column by its unscaled value, unless it has a value already.
    pub fn set_unscaled(&mut self, table: &str, column: &str, unscaled: i32) {
        if let Some((at, column, Kind::Decimal { .. })) = self.tables.find(table, column)
            && !self.has(at, column)
        {
            self.cells.push((at, column, Cell::Decimal(unscaled)));
        }
    }

    /// The unscaled value of a decimal column.
    pub fn unscaled(&self, table: &str, column: &str) -> Option<i32> {
        let (at, column, _) = self.tables.find(table, column)?;
        self.cells.iter().find_map(|(t, c, cell)| match cell {
            Cell::Decimal(v) if (*t, *c) == (at, column) => Some(*v),
            _ => None,
        })
    }

    /// Whether the table has a column of that name.
    pub fn knows(&self, table: &str, column: &str) -> bool {
        self.tables.find(table, column).is_some()
    }

    fn has(&self, table: usize, column: ColumnIndex) -> bool {
        self.cells.iter().any(|(t, c, _)| (*t, *c) == (table, column))
    }

    fn cell(&mut self, kind: Kind, value: &Value) -> Result<Cell, String> {
        match kind {
            Kind::Decimal { precision, scale } => {
                let (unscaled, exact) = scaled(number(value)?, precision, scale)?;
                self.rounded += u64::from(!exact);
                Ok(Cell::Decimal(unscaled))
            }
            Kind::I16 => self.integer(value).map(Cell::I16),
            Kind::I32 => self.integer(value).map(Cell::I32),
            Kind::I64 | Kind::Timestamp => self.integer(value).map(Cell::I64),
            Kind::U64 => self.integer(value).map(Cell::U64),
            Kind::F32 => Ok(Cell::F32(number(value)? as f32)),
            Kind::F64 => Ok(Cell::F64(number(value)?)),
            Kind::Bool => match (value.as_bool(), value.as_i64()) {
                (Some(b), _) => Ok(Cell::Bool(b)),
                (_, Some(n @ (0 | 1))) => Ok(Cell::Bool(n == 1)),
                _ => Err("is neither true nor false".into()),
            },
            Kind::Dict | Kind::Utf8 => {
                value.as_str().map(|s| Cell::Str(s.into())).ok_or("is not a string".into())
            }
        }
    }

    fn integer<T: TryFrom<i128>>(&mut self, value: &Value) -> Result<T, String> {
        let whole = match (value.as_i64(), value.as_u64()) {
            (Some(n), _) => n.into(),
            (_, Some(n)) => n.into(),
            _ => {
                let float = number(value)?;
                let whole = float.round_ties_even();
                self.rounded += u64::from(whole != float);
                // Beyond the range of i128 the cast gives its end, which fits no column either.
                whole as i128
            }
        };
        T::try_from(whole).map_err(|_| "does not fit its column".into())
    }
}

impl Cell {
    fn write(&self, rows: &mut Rows, column: ColumnIndex) {
        match self {
            Cell::Decimal(v) => rows.decimal(column, *v),
            Cell::I16(v) => rows.i16(column, *v),
            Cell::I32(v) => rows.i32(column, *v),
            Cell::I64(v) => rows.i64(column, *v),
            Cell::U64(v) => rows.u64(column, *v),
            Cell::F32(v) => rows.f32(column, *v),
            Cell::F64(v) => rows.f64(column, *v),
            Cell::Bool(v) => rows.bool(column, *v),
            Cell::Str(v) => rows.str(column, v.as_str()),
        }
    }
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or("is not a number".into())
}

/// The unscaled integer of a decimal column, and whether it says exactly the same: a float that is as near to it as
/// floats come does. Half a unit rounds to even, and a float that is as near to half a unit as floats come is half one.
fn scaled(value: f64, precision: u8, scale: i8) -> Result<(i32, bool), String> {
    let product = value * 10f64.powi(scale.into());
    let halves = (product * 2.0).round() / 2.0;
    let near = (product - halves).abs() <= 1e-12 * product.abs().max(1.0);
    let unscaled = if near { halves } else { product };
    let rounded = unscaled.round_ties_even();
    if rounded.abs() >= 10f64.powi(precision.into()) {
        return Err("does not fit its column".into());
    }
    Ok((rounded as i32, unscaled == rounded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_round_half_to_even_and_say_so() {
        assert_eq!(scaled(240.0, 9, 3), Ok((240_000, true)));
        assert_eq!(scaled(0.1 + 0.2, 9, 3), Ok((300, true)));
        assert_eq!(scaled(0.0125, 9, 3), Ok((12, false)));
        assert_eq!(scaled(0.0135, 9, 3), Ok((14, false)));
        assert_eq!(scaled(-41.25, 5, 1), Ok((-412, false)));
        // Half a unit in text, a hair less as a float times 1000.
        assert_eq!(scaled(32.6735, 9, 3), Ok((32_674, false)));
        assert!(scaled(1e6, 9, 3).is_err());
        assert!(scaled(f64::INFINITY, 9, 3).is_err());
    }

    proptest! {
        #[test]
        fn text_with_no_more_digits_than_the_column_is_exact(n in -999_999_999i32..=999_999_999) {
            let (sign, digits) = (if n < 0 { "-" } else { "" }, n.unsigned_abs());
            let text = format!("{sign}{}.{:03}", digits / 1000, digits % 1000);
            prop_assert_eq!(scaled(text.parse().unwrap(), 9, 3), Ok((n, true)));
        }

        #[test]
        fn one_digit_more_is_rounded(n in -99_999i32..=99_999, digit in 1..=9i32) {
            let value: f64 = format!("{n}.{digit}e-3").parse().unwrap();
            let (got, exact) = scaled(value, 9, 3).unwrap();
            let away = if n < 0 { n - 1 } else { n + 1 };
            let even = if n % 2 == 0 { n } else { away };
            let expected = match digit { 1..=4 => n, 5 => even, _ => away };
            prop_assert_eq!((got, exact), (expected, false));
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let tables = Tables::new(&["benchlab", "gpu", "pipeline"]);
        let mut draft = Draft::new(&tables);
        let mut set = |table, column, value: Value| draft.set(table, column, "key", &value);
        assert!(
            set("benchlab", "sys_w", "240".into()).unwrap_err().contains("key is not a number")
        );
        assert!(set("benchlab", "fan1_duty_pct", 70_000.into()).is_err());
        assert!(set("gpu", "mem_used_bytes", 1e30.into()).is_err());
        assert!(set("pipeline", "stage", 7.into()).is_err());
        assert!(set("benchlab", "fan1_enabled", 2.into()).is_err());
        assert!(draft.is_empty());
        draft.set("gpu", "mem_used_bytes", "k", &16e9.into()).unwrap();
        draft.set("gpu", "util_pct", "k", &Value::Null).unwrap();
        draft.set("gpu", "mem_used_bytes", "again", &1.into()).unwrap();
        draft.set("gpu", "nonsense", "other", &1.into()).unwrap();
        assert_eq!(draft.unknown, ["again", "other"]);
        assert_eq!(draft.cells.len(), 1);
    }
}
