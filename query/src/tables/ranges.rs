//! Sessions in partitions: each has a range of their names, so that what concerns a session alone is done for several at
//! a time.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{ScalarValue, SplitPoint};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalSortExpr, RangePartitioning};

use super::files::KnownFile;

/// Where the names of sessions are cut. It depends on the names alone: two tables of the same sessions are cut alike.
pub(super) struct Ranges {
    /// The first name of each range but the first.
    starts: Vec<String>,
}

impl Ranges {
    /// As many ranges as there are partitions, of as many sessions each as can be; none where there are fewer sessions.
    pub fn of(names: &[String], partitions: usize) -> Option<Self> {
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        if partitions < 2 || sorted.len() < partitions {
            return None;
        }
        let start = |partition: usize| sorted[partition * sorted.len() / partitions].clone();
        Some(Self { starts: (1..partitions).map(start).collect() })
    }

    /// The files of each range, one after the other in time. The files as they were where those of a range overlap or
    /// are none: they are in no order then.
    pub fn groups(
        &self,
        names: &[String],
        session_of_file: &[usize],
        files: Vec<KnownFile>,
    ) -> Result<Vec<FileGroup>, Vec<KnownFile>> {
        let of_name = |name: &String| self.starts.partition_point(|start| start <= name);
        let mut at: Vec<usize> = (0..files.len()).collect();
        at.sort_by_key(|&file| (files[file].first_ts, files[file].last_ts));
        let mut ranges = vec![Vec::new(); self.starts.len() + 1];
        for file in at {
            ranges[of_name(&names[session_of_file[file]])].push(file);
        }
        let follow = |pair: &[usize]| files[pair[0]].last_ts <= files[pair[1]].first_ts;
        let are_in_order =
            ranges.iter().all(|range| !range.is_empty() && range.windows(2).all(follow));
        if !are_in_order {
            return Err(files);
        }
        let group = |range: Vec<usize>| {
            FileGroup::new(range.into_iter().map(|file| files[file].file.clone()).collect())
        };
        Ok(ranges.into_iter().map(group).collect())
    }

    /// What a scan says of those groups.
    pub fn partitioning(&self, schema: &SchemaRef) -> Result<Partitioning> {
        let at = schema.index_of("session")?;
        let of_type = schema.field(at).data_type();
        let split = |start: &String| {
            let start = ScalarValue::from(start.as_str()).cast_to(of_type)?;
            Ok(SplitPoint::new(vec![start]))
        };
        let ascending = SortOptions { descending: false, nulls_first: false };
        let by = PhysicalSortExpr::new(Arc::new(Column::new("session", at)), ascending);
        let ordering = LexOrdering::new([by])
            .ok_or_else(|| DataFusionError::Internal("an ordering of nothing".into()))?;
        let splits = self.starts.iter().map(split).collect::<Result<Vec<_>>>()?;
        Ok(Partitioning::Range(RangePartitioning::try_new(ordering, splits)?))
    }
}
