//! The sums that a row of table `benchlab` has by its definition.

use super::Draft;

const TABLE: &str = "benchlab";

/// Sums, and the rails that each is the sum of.
const SUMS: [(&str, &[&str]); 3] = [
    ("cpu_w", &["eps1", "eps2"]),
    ("gpu_w", &["pcie1", "pcie2", "pcie3", "hpwr1", "hpwr2"]),
    ("mb_w", &["atx3v", "atx5v", "atx5vsb", "atx12v"]),
];

/// Adds the sums that are not there yet, where all their rails are there.
pub(crate) fn add_sums(draft: &mut Draft) {
    let mut total = Some(0i32);
    for (sum, rails) in SUMS {
        let watts = rails.iter().try_fold(0i32, |watts, rail| {
            watts.checked_add(draft.unscaled(TABLE, &format!("{rail}_w"))?)
        });
        if let Some(watts) = watts {
            draft.set_unscaled(TABLE, sum, watts);
        }
        total = total.zip(watts).and_then(|(a, b)| a.checked_add(b));
    }
    if let Some(watts) = total {
        draft.set_unscaled(TABLE, "sys_w", watts);
    }
}
