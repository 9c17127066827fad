//! What operators over sorted inputs ask of them.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::physical_expr::{
    LexRequirement, OrderingRequirements, PhysicalExpr, PhysicalSortRequirement,
};

/// Ascending, nulls last: the order of time here.
pub(crate) const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

/// Ascending by `stamp`; where its nulls are does not matter.
pub(crate) fn ascending(stamp: &Arc<dyn PhysicalExpr>) -> Option<OrderingRequirements> {
    let alternatives = [false, true].into_iter().filter_map(|nulls_first| {
        let options = SortOptions { nulls_first, ..ASCENDING };
        LexRequirement::new([PhysicalSortRequirement::new(Arc::clone(stamp), Some(options))])
    });
    OrderingRequirements::new_alternatives(alternatives, false)
}
