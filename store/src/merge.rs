//! The rows of a segment in the order of their time, with a bounded part of them in memory.
//!
//! One pass finds where each frame lies and what its stamps are. From these follows the order of all rows, eight
//! bytes each; the rows themselves are read again as they are needed, a few frames at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave_record_batch;
use bl_schemas::Table;

use crate::error::{Result, StoreError};
use crate::rest::{Origin, at_rest};
use crate::segment::{Damage, Extent, Place, SegmentReader};

/// Rows that are handed on at a time, at most.
const PART_ROWS: usize = 32 << 10;

/// Bytes of the frames that a part is made from, at most; one frame may be larger.
const PART_BYTES: usize = 8 << 20;

const HOUR_NS: i64 = 3_600_000_000_000;

/// A segment that nobody writes any more, surveyed.
pub(crate) struct Survey<'a> {
    reader: SegmentReader,
    table: &'a Table,
    origin: &'a Origin,
    places: Vec<Place>,
    /// Number of the first row of each frame.
    first_rows: Vec<usize>,
    stamps: Vec<i64>,
    /// Numbers of the rows by time; none where they are in order already.
    order: Option<Vec<u32>>,
    /// What is damaged in it.
    pub damage: Damage,
}

/// Some rows of a segment that lie within one hour, in the order of their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hour {
    /// The first stamp.
    pub first_ts: i64,
    rows: Range<usize>,
}

impl<'a> Survey<'a> {
    /// Reads the segment once; `appended` is what its writer knows of it.
    ///
    /// # Errors
    /// When it cannot be read, or holds what this program does not know.
    pub fn take(
        segment: &Path,
        table: &'a Table,
        origin: &'a Origin,
        appended: Option<Extent>,
    ) -> Result<Self> {
        let end = appended.map_or(u64::MAX, |a| a.bytes);
        let mut reader = SegmentReader::open(segment, table)?.up_to(end);
        let (mut places, mut first_rows, mut stamps) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(window) = reader.next_window()? {
            for (place, rows) in reader.decode_window(&window)? {
                refuse_unknown(segment, table, &rows)?;
                places.push(place);
                first_rows.push(stamps.len());
                stamps.extend_from_slice(ts(&rows, segment)?);
            }
        }
        let damage = reader.final_damage(stamps.len() as u64, appended)?;
        let order = (!stamps.is_sorted()).then(|| {
            let mut order: Vec<u32> = (0..stamps.len() as u32).collect();
            order.sort_by_key(|i| stamps[*i as usize]);
            order
        });
        Ok(Self { reader, table, origin, places, first_rows, stamps, order, damage })
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.stamps.len()
    }

    /// Its rows, hour by hour (UTC).
    pub fn hours(&self) -> Vec<Hour> {
        let mut hours: Vec<Hour> = Vec::new();
        let mut begin = 0;
        while begin < self.rows() {
            let first_ts = self.stamps[self.row(begin)];
            let next_hour = (first_ts.div_euclid(HOUR_NS) + 1).saturating_mul(HOUR_NS);
            let end = self.first_at(next_hour).max(begin + 1);
            hours.push(Hour { first_ts, rows: begin..end });
            begin = end;
        }
        hours
    }

    /// The rows of one of its hours at rest, part by part.
    pub fn parts(&mut self, hour: &Hour) -> Parts<'_, 'a> {
        Parts { survey: self, rows: hour.rows.clone(), frames: BTreeMap::new() }
    }

    /// Number of the row that is the `i`-th by time.
    fn row(&self, i: usize) -> usize {
        self.order.as_ref().map_or(i, |order| order[i] as usize)
    }

    /// The first place by time that is not before `ts`.
    fn first_at(&self, ts: i64) -> usize {
        match &self.order {
            None => self.stamps.partition_point(|t| *t < ts),
            Some(order) => order.partition_point(|i| self.stamps[*i as usize] < ts),
        }
    }

    /// In which frame a row lies, and where in it.
    fn find(&self, row: usize) -> (usize, usize) {
        let frame = self.first_rows.partition_point(|first| *first <= row) - 1;
        (frame, row - self.first_rows[frame])
    }
}

/// The rows of an hour at rest, part by part.
pub(crate) struct Parts<'s, 'a> {
    survey: &'s mut Survey<'a>,
    rows: Range<usize>,
    /// The frames that the last part was made from.
    frames: BTreeMap<usize, RecordBatch>,
}

impl Parts<'_, '_> {
    fn part(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let rows = match self.survey.order {
            None => self.next_in_order()?,
            Some(_) => self.next_mixed()?,
        };
        self.rows.start += rows.num_rows();
        let part = at_rest(self.survey.table, self.survey.origin, std::slice::from_ref(&rows))?;
        refuse_lost_values(self.survey.table, &rows, &part)?;
        Ok(Some(part))
    }

    /// The next rows where all are in order: those of some frames, one after the other.
    fn next_in_order(&mut self) -> Result<RecordBatch> {
        let (first, skip) = self.survey.find(self.rows.start);
        let mut batches = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        for frame in first..self.survey.places.len() {
            let place = self.survey.places[frame];
            bytes += place.bytes;
            let is_enough = rows >= skip + self.rows.len() || rows >= PART_ROWS;
            if !batches.is_empty() && (is_enough || bytes > PART_BYTES) {
                break;
            }
            let batch = self.survey.reader.read_frame(place)?;
            rows += batch.num_rows();
            batches.push(batch);
        }
        let all = concat_batches(batches[0].schema_ref(), &batches)
            .map_err(|e| StoreError::arrow("joining rows", e))?;
        Ok(all.slice(skip, (rows - skip).min(self.rows.len())))
    }

    /// The next rows where they are not: each from its frame.
    fn next_mixed(&mut self) -> Result<RecordBatch> {
        let places = self.next_places();
        self.fetch(&places)?;
        let batches: Vec<&RecordBatch> = self.frames.values().collect();
        let slots: BTreeMap<usize, usize> =
            self.frames.keys().enumerate().map(|(slot, frame)| (*frame, slot)).collect();
        let indices: Vec<_> = places.iter().map(|(frame, row)| (slots[frame], *row)).collect();
        interleave_record_batch(&batches, &indices)
            .map_err(|e| StoreError::arrow("ordering rows", e))
    }

    /// Frames and rows in them of the next part, by time.
    fn next_places(&self) -> Vec<(usize, usize)> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut frames = BTreeSet::new();
        let mut bytes = 0;
        for i in self.rows.clone().take(PART_ROWS) {
            let place = self.survey.find(self.survey.row(i));
            if places.last().is_none_or(|last| last.0 != place.0) && frames.insert(place.0) {
                bytes += self.survey.places[place.0].bytes;
                if bytes > PART_BYTES && !places.is_empty() {
                    break;
                }
            }
            places.push(place);
        }
        places
    }

    /// Reads the frames that are needed, and forgets the others.
    fn fetch(&mut self, places: &[(usize, usize)]) -> Result<()> {
        let mut before = std::mem::take(&mut self.frames);
        for (frame, _) in places {
            if !self.frames.contains_key(frame) {
                let rows = match before.remove(frame) {
                    Some(rows) => rows,
                    None => self.survey.reader.read_frame(self.survey.places[*frame])?,
                };
                self.frames.insert(*frame, rows);
            }
        }
        Ok(())
    }
}

impl Iterator for Parts<'_, '_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.part().transpose()
    }
}

fn ts<'b>(rows: &'b RecordBatch, segment: &Path) -> Result<&'b [i64]> {
    rows.column_by_name("ts")
        .and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>())
        .map(|c| &c.values()[..])
        .ok_or_else(|| StoreError::Segment {
            path: segment.into(),
            what: "its rows have no stamps of time".into(),
        })
}

/// A column that this program does not know would be lost.
fn refuse_unknown(segment: &Path, table: &Table, rows: &RecordBatch) -> Result<()> {
    let schema = rows.schema_ref();
    match schema.fields().iter().find(|f| table.column(f.name()).is_none()) {
        None => Ok(()),
        Some(unknown) => Err(StoreError::Newer {
            path: segment.into(),
            what: format!("column {}.{} is not known", table.name, unknown.name()),
        }),
    }
}

/// So would a value that does not fit the type that this program knows of its column.
fn refuse_lost_values(table: &Table, rows: &RecordBatch, part: &RecordBatch) -> Result<()> {
    for field in rows.schema_ref().fields() {
        let nulls = |b: &RecordBatch| b.column_by_name(field.name()).map(|c| c.null_count());
        if nulls(rows) != nulls(part) {
            return Err(StoreError::Arrow {
                what: format!("{}.{}", table.name, field.name()),
                source: ArrowError::CastError(format!(
                    "a {} of a newer bl does not fit the column",
                    field.data_type()
                )),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rows;
    use crate::segment::SegmentWriter;
    use crate::storage::FileSystem;

    fn frame(table: &'static Table, stamps: &[i64], number: &mut i64) -> RecordBatch {
        let mut rows = Rows::new(table);
        let frame = rows.column("frame");
        for ts in stamps {
            rows.begin(*ts, "t");
            rows.i64(frame, *number);
            *number += 1;
        }
        rows.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// The oracle: all rows with their numbers, sorted by the hour and the stamp, equal ones as they came.
        #[test]
        fn rows_come_out_by_time_however_they_came(
            frames in prop::collection::vec(prop::collection::vec(0..4_i64, 1..40), 1..12),
            in_order in any::<bool>(),
            spread in prop::sample::select(vec![1, 1_000, HOUR_NS / 2, HOUR_NS]),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("000001.wal");
            let table = bl_schemas::table("pipeline").unwrap();
            let mut writer =
                SegmentWriter::create(&FileSystem, &path, &table.row_schema()).unwrap();
            let (mut wanted, mut number) = (Vec::new(), 0);
            let mut stamps = frames.concat();
            if in_order {
                stamps.sort();
            }
            let mut stamps = stamps.into_iter().map(|ts| ts * spread);
            for frame_rows in frames.iter().map(Vec::len) {
                let stamps: Vec<i64> = stamps.by_ref().take(frame_rows).collect();
                wanted.extend(stamps.iter().zip(number..).map(|(ts, n)| (*ts, n)));
                writer.append(&frame(table, &stamps, &mut number)).unwrap();
            }
            wanted.sort_by_key(|(ts, _)| *ts);
            let origin = Origin { session: "s".into(), node: "n".into() };
            let mut survey =
                Survey::take(&path, table, &origin, Some(writer.whole())).unwrap();
            prop_assert_eq!(&survey.damage, &Damage::default());
            let mut found = Vec::new();
            for hour in survey.hours() {
                let mut of_hour = Vec::new();
                for part in survey.parts(&hour) {
                    let part = part.unwrap();
                    let ts = part["ts"].as_primitive::<TimestampNanosecondType>();
                    let frames = part["frame"].as_primitive::<arrow_array::types::Int64Type>();
                    of_hour.extend(ts.values().iter().copied().zip(frames.values().iter().copied()));
                }
                let hours: BTreeSet<i64> = of_hour.iter().map(|(ts, _)| ts.div_euclid(HOUR_NS)).collect();
                prop_assert_eq!(hours.len(), 1);
                prop_assert_eq!(of_hour[0].0, hour.first_ts);
                found.extend(of_hour);
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
