//! Exact percentiles, lows and histograms as aggregates.

use std::sync::Arc;

use bl_align::quantile::Values;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

/// Refuses an argument that is no number; `which` of them is a word like first.
pub(crate) fn require_number(function: &str, which: &str, data_type: &DataType) -> Result<()> {
    if data_type.is_numeric() || data_type.is_null() {
        return Ok(());
    }
    plan_err!(
        "{function}: its {which} argument is {data_type}: it must be a number; write CAST(… AS DOUBLE)"
    )
}

/// The aggregates of this crate.
pub(crate) fn aggregates() -> [AggregateUDF; 5] {
    let signature = Signature::variadic_any(Volatility::Immutable);
    Answer::ALL.map(|answer| Selection { answer, signature: signature.clone() }.into())
}

/// What is asked of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    /// `percentiles(value, share, …)`: the value at each share (0 to 1), as a list.
    Percentiles,
    /// `fps_percentiles(frame time in ms, share, …)`: CapFrameX's P1 and the like, in frames per second.
    FpsPercentiles,
    /// `low_averages(frame time, share, …)`: CapFrameX's "x % low average", as a frame time.
    LowAverages,
    /// `low_integrals(frame time, share, …)`: CapFrameX's "x % low integral", as a frame time.
    LowIntegrals,
    /// `histogram(value, edge, …)`: the number of values from each edge to the next, as a list.
    Histogram,
}

impl Answer {
    const ALL: [Self; 5] = [
        Self::Percentiles,
        Self::FpsPercentiles,
        Self::LowAverages,
        Self::LowIntegrals,
        Self::Histogram,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Percentiles => "percentiles",
            Self::FpsPercentiles => "fps_percentiles",
            Self::LowAverages => "low_averages",
            Self::LowIntegrals => "low_integrals",
            Self::Histogram => "histogram",
        }
    }

    /// Of each element of its list.
    fn data_type(self) -> DataType {
        match self {
            Self::Histogram => DataType::UInt64,
            _ => DataType::Float64,
        }
    }

    fn of(self, values: &mut Values, numbers: &[f64]) -> Result<Vec<ScalarValue>> {
        let found = match self {
            Self::Percentiles => values.percentiles(numbers),
            Self::FpsPercentiles => values.fps_percentiles(numbers),
            Self::LowAverages => numbers.iter().map(|share| values.low_average(*share)).collect(),
            Self::LowIntegrals => numbers.iter().map(|share| values.low_integral(*share)).collect(),
            Self::Histogram => {
                return match values.histogram(numbers) {
                    Ok(counts) => Ok(counts.into_iter().map(ScalarValue::from).collect()),
                    Err(error) => exec_err!("histogram: {error}"),
                };
            }
        };
        Ok(found.into_iter().map(ScalarValue::Float64).collect())
    }
}

/// An aggregate that keeps all its values.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Selection {
    answer: Answer,
    signature: Signature,
}

impl AggregateUDFImpl for Selection {
    fn name(&self) -> &str {
        self.answer.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        if arg_types.len() < 2 {
            return plan_err!(
                "{0} takes a column and at least one number: {0}(x, 0.5)",
                self.name()
            );
        }
        require_number(self.name(), "first", &arg_types[0])?;
        Ok(DataType::new_list(self.answer.data_type(), true))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let numbers = args.exprs.iter().skip(1).map(|expr| {
            let literal = expr.downcast_ref::<datafusion::physical_expr::expressions::Literal>();
            match literal.map(|literal| literal.value().cast_to(&DataType::Float64)) {
                Some(Ok(ScalarValue::Float64(Some(number)))) => Ok(number),
                _ => plan_err!("{}: {expr} must be a number", self.name()),
            }
        });
        let numbers = numbers.collect::<Result<Vec<f64>>>()?;
        let is_share = |number: &f64| (0.0..=1.0).contains(number);
        if self.answer != Answer::Histogram && !numbers.iter().all(is_share) {
            return plan_err!("{}: a share lies between 0 and 1, like 0.95", self.name());
        }
        Ok(Box::new(Kept { answer: self.answer, numbers, values: Values::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let values = DataType::new_list(DataType::Float64, true);
        Ok(vec![Arc::new(Field::new(format!("{}[values]", args.name), values, true))])
    }
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    numbers: Vec<f64>,
    values: Values,
}

impl Kept {
    fn keep(&mut self, column: &ArrayRef) -> Result<()> {
        let column = cast(column, &DataType::Float64)?;
        let column = column.as_primitive::<Float64Type>();
        match column.null_count() {
            0 => self.values.extend(column.values().iter().copied()),
            _ => self.values.extend(column.iter().flatten()),
        }
        Ok(())
    }
}

impl Accumulator for Kept {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.keep(&columns[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.keep(&values)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Float64Array::from(std::mem::take(&mut self.values).into_vec());
        let Ok(length) = i32::try_from(values.len()) else {
            return exec_err!("more values than one list holds; run with one partition");
        };
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::new(vec![0, length].into());
        let list = ListArray::try_new(field, offsets, Arc::new(values), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let answers = self.answer.of(&mut self.values, &self.numbers)?;
        let of = self.answer.data_type();
        Ok(ScalarValue::List(ScalarValue::new_list_nullable(&answers, &of)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.len() * size_of::<f64>()
    }
}
