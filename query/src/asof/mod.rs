//! `a ASOF JOIN b [ON a.key = b.key | USING (key)] MATCH_CONDITION (a.ts >= b.ts)`: every left row with
//! the one right row that is nearest in time on the asked side, or with nulls.
//!
//! The meaning is Snowflake's and that of DataFusion's own operator after 55: left rows are kept, each
//! once and in their order; the condition compares an expression of the left table with one of the right
//! by `>=` or `>` (looks back) or by `<=` or `<` (looks ahead). Beyond that, the condition may bound the
//! distance: `MATCH_CONDITION (a.ts >= b.ts AND a.ts - b.ts <= INTERVAL '200 milliseconds')`.

mod condition;
mod kernel;
mod node;
mod relation;
mod rewrite;
mod stream;
#[cfg(test)]
mod tests;

pub use node::AsOfJoin;
pub(crate) use relation::{AsOfRelation, of_one_type};
pub(crate) use rewrite::Parenthesise;
