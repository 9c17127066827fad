//! What SQL gets besides joins: the table functions `pair`, `energy` and `latency`, and aggregates.

mod arguments;
mod percentiles;
mod relations;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use percentiles::aggregates;
pub(crate) use relations::NameRelations;
pub(crate) use tables::TableFunctions;
