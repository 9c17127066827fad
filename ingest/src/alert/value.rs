//! The left side of a comparison: what a row says.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use bl_schemas::Table;

/// A value that a rule looks at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A column, or one figure of several.
    Reading { of: Figure, columns: Vec<usize>, text: String },
    /// Seconds since the last row.
    Age,
}

/// What is made of the columns that have a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Max,
    Min,
    Spread,
}

const FIGURES: [(&str, Figure); 3] =
    [("max", Figure::Max), ("min", Figure::Min), ("spread", Figure::Spread)];

impl Value {
    /// Reads a value as it is written.
    pub fn parse(table: &Table, text: &str) -> Result<Self, String> {
        if text == "age" {
            return Ok(Value::Age);
        }
        let figure = FIGURES.iter().find_map(|(name, figure)| {
            let inner = text.strip_prefix(name)?.trim_start().strip_prefix('(')?;
            Some((*figure, inner.strip_suffix(')')?.trim()))
        });
        let (of, pattern) = figure.unwrap_or((Figure::Max, text));
        if figure.is_none() && text.contains(['*', '(']) {
            return Err(format!("{text:?} is several columns: write max(…), min(…) or spread(…)"));
        }
        let schema = table.row_schema();
        let fields = schema.fields().iter().enumerate();
        let columns: Vec<usize> =
            fields.filter(|(_, field)| matches(pattern, field.name())).map(|(i, _)| i).collect();
        if columns.is_empty() {
            let name = &table.name;
            return Err(format!("table {name} has no column {pattern:?}: see schemas/README.md"));
        }
        if let Some(i) = columns.iter().find(|i| !is_number(schema.field(**i).data_type())) {
            return Err(format!("column {:?} holds no numbers", schema.field(*i).name()));
        }
        Ok(Value::Reading { of, columns, text: text.to_owned() })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        match self {
            Value::Reading { text, .. } => text,
            Value::Age => "age",
        }
    }

    /// What a row says; nothing where it has no reading.
    pub fn of_row(&self, rows: &RecordBatch, row: usize) -> Option<f64> {
        let Value::Reading { of, columns, .. } = self else { return None };
        let mut readings = columns.iter().filter_map(|i| number(rows.column(*i).as_ref(), row));
        let first = readings.next()?;
        let (least, most) = readings.fold((first, first), |(a, b), v| (a.min(v), b.max(v)));
        Some(match of {
            Figure::Max => most,
            Figure::Min => least,
            Figure::Spread => most - least,
        })
    }
}

/// Whether a name is meant by a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|name| {
            (0..=name.len()).any(|at| name.get(at..).is_some_and(|name| matches(rest, name)))
        }),
    }
}

fn is_number(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Decimal32(..) | Float32 | Float64 | Int16 | Int32 | Int64 | UInt64 | Boolean
    )
}

fn number(column: &dyn Array, row: usize) -> Option<f64> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Decimal32(_, scale) => {
            let unscaled = column.as_primitive_opt::<Decimal32Type>()?.value(row);
            f64::from(unscaled) / 10f64.powi((*scale).into())
        }
        DataType::Float32 => column.as_primitive_opt::<Float32Type>()?.value(row).into(),
        DataType::Float64 => column.as_primitive_opt::<Float64Type>()?.value(row),
        DataType::Int16 => column.as_primitive_opt::<Int16Type>()?.value(row).into(),
        DataType::Int32 => column.as_primitive_opt::<Int32Type>()?.value(row).into(),
        DataType::Int64 => column.as_primitive_opt::<Int64Type>()?.value(row) as f64,
        DataType::UInt64 => column.as_primitive_opt::<UInt64Type>()?.value(row) as f64,
        DataType::Boolean => f64::from(u8::from(column.as_boolean_opt()?.value(row))),
        _ => return None,
    })
}
