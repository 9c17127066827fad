//! `session.json` from what the rows of its session tell.

use std::collections::BTreeSet;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Mending, Repair};
use crate::clock::Anchor;
use crate::error::{Result, StoreError};
use crate::index;
use crate::layout::SessionDir;
use crate::manifest::{FORMAT, Manifest, State};
use crate::names::SessionId;
use crate::segment::SegmentReader;
use crate::storage::beside;

/// Makes it up and writes it; what is there is kept as `session.json.damaged`, and what of it can be read is taken over.
pub(super) fn rebuild(dir: &SessionDir, repair: &mut Repair) -> Result<Manifest> {
    let path = dir.manifest();
    if dir.raw_tables()?.is_empty() {
        // Nothing was ever recorded there.
        return Manifest::read(&path);
    }
    let damaged = std::fs::read(&path).ok();
    if damaged.is_some() {
        dir.storage().rename(&path, &path.with_file_name("session.json.damaged"))?;
    }
    let manifest = match left_beside(&path) {
        Some(manifest) => {
            repair.note(&path, Mending::Rebuilt, "the copy that was being written took its place");
            manifest
        }
        None => {
            let rebuilt = Found::in_rows(dir)?.manifest(dir)?;
            let (manifest, unknown) = take_over(rebuilt, damaged.as_deref().unwrap_or_default());
            let what = format!("made up from the rows; not known are {}", unknown.join(", "));
            repair.note(&path, Mending::Rebuilt, what);
            manifest
        }
    };
    manifest.write(dir)?;
    Ok(manifest)
}

/// One whose writer died before it got its name.
fn left_beside(path: &Path) -> Option<Manifest> {
    let beside = beside(path);
    Manifest::parse(&beside, &std::fs::read(&beside).ok()?).ok()
}

/// What ties stamps to UTC.
const ANCHOR: [&str; 3] = ["utc_minus_monotonic_ns", "err_ns", "anchor_estimated"];

/// Takes every key of what is left that still makes sense; tells which are known of neither.
fn take_over(rebuilt: Manifest, left: &[u8]) -> (Manifest, Vec<String>) {
    let mut unknown: BTreeSet<&str> =
        ["boot_id", "devices", "host", "config", "imports"].into_iter().collect();
    if rebuilt.anchor_estimated {
        unknown.insert("utc_minus_monotonic_ns");
    }
    if rebuilt.node.is_empty() {
        unknown.insert("node");
    }
    let mut manifest = rebuilt;
    if let Ok(serde_json::Value::Object(mut left)) = serde_json::from_slice(left) {
        left.retain(|key, _| key != "format" && key != "id");
        // Each of these says nothing without the others.
        let anchor: Vec<_> = ANCHOR.iter().filter_map(|key| left.remove_entry(*key)).collect();
        let groups = left.into_iter().map(|(key, value)| vec![(key, value)]);
        for group in groups.chain((anchor.len() == ANCHOR.len()).then_some(anchor)) {
            let Ok(mut whole) = serde_json::to_value(&manifest) else { continue };
            let keys: Vec<String> = group.iter().map(|(key, _)| key.clone()).collect();
            group.into_iter().for_each(|(key, value)| whole[key] = value);
            if let Ok(better) = serde_json::from_value(whole) {
                manifest = better;
                unknown.retain(|key| !keys.iter().any(|k| k == key));
            }
        }
    }
    let unknown: Vec<String> = unknown.into_iter().map(str::to_owned).collect();
    let told = serde_json::json!({ "unknown": unknown });
    manifest.other.insert("rebuilt".into(), told);
    (manifest, unknown)
}

/// What the rows of a session tell of it.
#[derive(Debug, Default)]
struct Found {
    node: Option<String>,
    sources: BTreeSet<String>,
    first_ts: Option<i64>,
    /// UTC minus monotonic, exactly, and a bound of how far that was off when the first row of `clock` was written.
    anchor: Option<(i64, Anchor)>,
}

impl Found {
    fn in_rows(dir: &SessionDir) -> Result<Self> {
        let mut found = Self::default();
        for table in dir.raw_tables()? {
            for day in index::read(dir, &table)? {
                for entry in &day.files {
                    found.note_first(entry.min_ts);
                    // One that cannot be read is set aside later.
                    let _ = found.read_file(&day.folder.join(&entry.file));
                }
            }
            let Some(known) = bl_schemas::table(&table) else { continue };
            for (_, path) in dir.open_segments(&table)? {
                let rows = SegmentReader::open(&path, known).and_then(|mut r| r.read_new());
                rows.unwrap_or_default().iter().for_each(|rows| found.read_rows(rows));
            }
        }
        Ok(found)
    }

    fn manifest(self, dir: &SessionDir) -> Result<Manifest> {
        let unknown = Anchor { utc_minus_monotonic_ns: 0, err_ns: i64::MAX };
        let anchor = self.anchor.map(|(_, anchor)| anchor);
        let id: SessionId = dir.name().parse()?;
        let part = id.part();
        Ok(Manifest {
            format: FORMAT,
            part_of: part.as_ref().map(|(first, _)| first.clone()),
            part: part.map(|(_, number)| number),
            id,
            node: self.node.unwrap_or_default(),
            started_ns: self.first_ts.unwrap_or(0),
            ended_ns: None,
            // What is open is sealed next, and its rows are counted.
            state: State::Recording,
            anchor: anchor.unwrap_or(unknown),
            anchor_estimated: anchor.is_none(),
            boot_id: None,
            simulated: self.sources.iter().any(|s| s.starts_with("sim.")),
            sources: self.sources.into_iter().filter(|s| s != "store").collect(),
            devices: Vec::new(),
            host: serde_json::Value::Null,
            config: serde_json::Value::Null,
            imports: Vec::new(),
            rows: Default::default(),
            other: Default::default(),
        })
    }

    fn read_file(&mut self, path: &Path) -> Result<()> {
        const WANTED: [&str; 6] = ["ts", "node", "source", "monotonic_ns", "realtime_ns", "err_ns"];
        let failed = |source| StoreError::Parquet { path: path.into(), source };
        let file = fs_err::File::open(path)?.into_parts().0;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), WANTED);
        for rows in builder.with_projection(mask).build().map_err(failed)? {
            let rows = rows.map_err(|e| StoreError::arrow(path.display().to_string(), e))?;
            self.read_rows(&rows);
        }
        Ok(())
    }

    fn read_rows(&mut self, rows: &RecordBatch) {
        if self.node.is_none() {
            self.node = texts(rows, "node").into_iter().find(|node| !node.is_empty());
        }
        self.sources.extend(texts(rows, "source"));
        let stamps = rows["ts"].as_primitive_opt::<TimestampNanosecondType>();
        let Some(stamps) = stamps else { return };
        self.note_first(stamps.values().iter().min().copied());
        let ints = |name: &str| rows.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let (Some(monotonic), Some(realtime), Some(err)) =
            (ints("monotonic_ns"), ints("realtime_ns"), ints("err_ns"))
        else {
            return;
        };
        let host = |i: &usize| !monotonic.is_null(*i) && !realtime.is_null(*i) && !err.is_null(*i);
        for i in (0..rows.num_rows()).filter(host) {
            let (ts, reading) = (stamps.value(i), monotonic.value(i));
            let off_ns = realtime.value(i).abs_diff(ts).try_into().unwrap_or(i64::MAX);
            let anchor = Anchor {
                utc_minus_monotonic_ns: ts - reading,
                err_ns: err.value(i).saturating_add(off_ns),
            };
            if self.anchor.is_none_or(|(first, _)| reading < first) {
                self.anchor = Some((reading, anchor));
            }
        }
    }

    fn note_first(&mut self, ts: Option<i64>) {
        self.first_ts = [self.first_ts, ts].into_iter().flatten().min();
    }
}

/// The different texts of a column, if there is such a one.
fn texts(rows: &RecordBatch, name: &str) -> BTreeSet<String> {
    let column = rows.column_by_name(name).and_then(|c| c.as_dictionary_opt::<Int32Type>());
    let values = column.and_then(|c| Some((c, c.values().as_any().downcast_ref::<StringArray>()?)));
    let Some((column, values)) = values else { return BTreeSet::new() };
    let used: BTreeSet<i32> = column.keys().iter().flatten().collect();
    used.into_iter().map(|key| values.value(key as usize).to_owned()).collect()
}
