//! Times and numbers as JSON has them.

use serde_json::Value;

/// Milliseconds since 1970 with decimals down to a microsecond.
pub fn ms(ts_ns: i64) -> f64 {
    ts_ns.div_euclid(1_000) as f64 / 1e3
}

/// The same where there is a time.
pub fn ms_opt(ts_ns: Option<i64>) -> Option<f64> {
    ts_ns.map(ms)
}

/// A number, or null where it is none.
pub fn json_number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}
