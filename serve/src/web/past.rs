//! Rows of a session on disk, read through `bl_query`; frames are those of table `latency`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use bl_query::latency::{LatencyOptions, Method};
use bl_query::tables::SessionFilter;
use bl_query::{Query, QueryError, Runtime, Settings};
use bl_store::{Footer, Store};

use super::params::Params;
use super::problem::Problem;
use super::thin::Buckets;
use crate::live::{Cells, Entry, POWER_COLUMNS, PairRow, PowerRow, StagePair};

/// Memory of one query.
const MEMORY_BYTES: usize = 512 << 20;

/// What is asked of a session.
#[derive(Debug, Clone)]
pub(super) struct Past {
    pub entry: Entry,
    store: Store,
    runtime: Runtime,
    /// The pair of stages, where the session has one.
    pub pair: Option<StagePair>,
    /// The board; the one with the first sample where none was named.
    pub device: Option<String>,
    /// The one that was named.
    asked_device: Option<String>,
    pub from_ns: i64,
    pub to_ns: i64,
    pub points: usize,
    window_ns: i64,
}

impl Past {
    /// Reads the query of a request.
    pub fn new(
        entry: Entry,
        store: Store,
        runtime: Runtime,
        window_ns: i64,
        now_ns: i64,
        params: &Params,
    ) -> Result<Self, Problem> {
        let (start_ns, end_ns) = bounds(&entry, now_ns);
        let from_ns = params.time_ns("from")?.unwrap_or(start_ns).max(start_ns);
        let to_ns = params.time_ns("to")?.unwrap_or(end_ns).min(end_ns);
        if from_ns >= to_ns {
            return Err(Problem::wrong("from must be before to, and both within the session"));
        }
        let known: Vec<String> = entry.pairs().iter().map(|(a, b)| format!("{a},{b}")).collect();
        let pair = match params.text("pair") {
            None => entry.pairs().first().cloned(),
            Some(name) => match known.iter().position(|k| k == name) {
                Some(at) => Some(entry.pairs()[at].clone()),
                None => {
                    let text = format!("no pair '{name}' in this session; it has {known:?}");
                    return Err(Problem::wrong(text));
                }
            },
        };
        let asked_device = params.text("device").map(str::to_string);
        let device = match &asked_device {
            Some(device) => Some(device.clone()),
            None => first_board(&entry)?,
        };
        let points = params.number("points", 2, 20_000)?.unwrap_or(2_000);
        Ok(Self {
            entry,
            store,
            runtime,
            pair,
            device,
            asked_device,
            from_ns,
            to_ns,
            points,
            window_ns,
        })
    }

    /// The name of the pair.
    pub fn pair_name(&self) -> Option<String> {
        self.pair.as_ref().map(|(a, b)| format!("{a},{b}"))
    }

    /// The buckets that rows are thinned into.
    pub fn buckets(&self) -> Buckets {
        Buckets { from_ns: self.from_ns, to_ns: self.to_ns, count: self.points }
    }

    async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>, Problem> {
        let settings = Settings {
            memory_bytes: Some(MEMORY_BYTES),
            runtime: Some(self.runtime.clone()),
            ..Settings::default()
        };
        let query = Query::new(&settings).map_err(Problem::fault)?;
        let filter = SessionFilter::Named(vec![self.entry.session.id().clone()]);
        let method = Method {
            window_ns: self.window_ns,
            device: self.asked_device.clone(),
            ..Method::default()
        };
        let pairs = self.pair.iter().cloned().collect();
        let latency = LatencyOptions { pairs, method };
        query.register_store_with(self.store.clone(), filter, latency).map_err(Problem::fault)?;
        let frame = query.sql(sql).await.map_err(Problem::fault)?;
        frame.collect().await.map_err(|e| Problem::fault(QueryError::run(e)))
    }

    fn between(&self) -> String {
        let (from, to) = (stamp(self.from_ns), stamp(self.to_ns));
        format!("ts >= {from} AND ts <= {to}")
    }

    /// Samples of the board, sorted by time.
    pub async fn power(&self) -> Result<Vec<PowerRow>, Problem> {
        let Some(device) = &self.device else { return Ok(Vec::new()) };
        let columns = POWER_COLUMNS.join(", ");
        let (between, device) = (self.between(), quoted(device));
        let sql = format!(
            "SELECT ts, {columns} FROM benchlab WHERE device_uid = {device} AND {between} ORDER BY ts"
        );
        let mut out = Vec::new();
        for batch in self.rows(&sql).await? {
            let cells = Cells(&batch);
            let watts = |row| POWER_COLUMNS.map(|name| cells.number(name, row));
            out.extend(
                (0..cells.rows()).map(|row| PowerRow::from_watts(cells.ts()[row], watts(row))),
            );
        }
        Ok(out)
    }

    /// Frames that entered `stage_a` in the time asked for, sorted by that time.
    pub async fn frames(&self) -> Result<Vec<PairRow>, Problem> {
        let Some((a, b)) = &self.pair else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT ts, frame, latency_ms, dropped, power_w, energy_j FROM latency \
             WHERE stage_a = {} AND stage_b = {} AND {} ORDER BY ts",
            quoted(a),
            quoted(b),
            self.between()
        );
        let mut out = Vec::new();
        for batch in self.rows(&sql).await? {
            let cells = Cells(&batch);
            let ms = batch["latency_ms"].as_primitive::<Float64Type>();
            let dropped = batch["dropped"].as_boolean();
            out.extend((0..cells.rows()).map(|row| PairRow {
                ts_ns: cells.ts()[row],
                // Milliseconds were whole nanoseconds.
                latency_ns: ms.is_valid(row).then(|| (ms.value(row) * 1e6).round() as i64),
                ambiguous: dropped.is_null(row),
                power_w: cells.number("power_w", row),
                energy_j: cells.number("energy_j", row),
                frame: cells.int("frame", row),
            }));
        }
        Ok(out)
    }

    /// The last row of each bucket of each key of a slow table, in the table's row schema.
    pub async fn slow(&self, table: &bl_schemas::Table) -> Result<Vec<RecordBatch>, Problem> {
        // At most two rows a second, as in the live window.
        let span_ns = self.to_ns.saturating_sub(self.from_ns);
        let width_ns = (span_ns / self.points as i64).max(500_000_000);
        let list = columns_of(table);
        let keys = table.key.iter().flatten().map(String::as_str);
        let by: Vec<&str> = keys.chain(["bucket"]).collect();
        let sql = format!(
            "SELECT {list} FROM (SELECT {list}, row_number() OVER (PARTITION BY {by} ORDER BY ts DESC) AS place \
             FROM (SELECT *, (CAST(ts AS BIGINT) - {from}) / {width_ns} AS bucket FROM {table} WHERE {between}) AS b) AS c \
             WHERE place = 1 ORDER BY ts",
            by = by.join(", "),
            from = self.from_ns,
            table = table.name,
            between = self.between(),
        );
        self.rows(&sql).await?.iter().map(with_strings).collect()
    }

    /// All rows of a small table.
    pub async fn whole(&self, table: &str) -> Result<Vec<RecordBatch>, Problem> {
        let table = bl_schemas::table(table).ok_or_else(|| Problem::fault("no such table"))?;
        let sql = format!("SELECT {} FROM {} ORDER BY ts", columns_of(table), table.name);
        self.rows(&sql).await?.iter().map(with_strings).collect()
    }
}

/// The board with the first sample of the session: the one that the SQL table `latency` has the power of.
fn first_board(entry: &Entry) -> Result<Option<String>, Problem> {
    match entry.devices()[..] {
        [] => Ok(None),
        [only] => Ok(Some(only.to_string())),
        _ => bl_query::latency::first_device(&entry.session).map_err(Problem::fault),
    }
}

/// First and last time of a session. An import may hold rows of before the time that its name tells: the footers of
/// its files know.
fn bounds(entry: &Entry, now_ns: i64) -> (i64, i64) {
    let m = entry.session.manifest();
    let (mut start_ns, mut end_ns) = (m.started_ns, m.ended_ns.unwrap_or(now_ns));
    if m.anchor_estimated {
        let snapshots = bl_schemas::tables().iter().filter_map(|t| entry.session.snapshot(t).ok());
        let files: Vec<_> = snapshots.flat_map(|snapshot| snapshot.sealed).collect();
        for footer in files.iter().filter_map(|file| Footer::read(&file.path).ok()) {
            start_ns = footer.first_ts.map_or(start_ns, |ts| start_ns.min(ts));
            end_ns = footer.last_ts.map_or(end_ns, |ts| end_ns.max(ts));
        }
    }
    (start_ns, end_ns.max(start_ns + 1))
}

/// The columns of the table's row schema, for a SELECT.
fn columns_of(table: &bl_schemas::Table) -> String {
    let own = table.columns.iter().filter(|c| !c.is_constant_in_a_session());
    own.map(|c| format!("\"{}\"", c.name)).collect::<Vec<_>>().join(", ")
}

fn stamp(ns: i64) -> String {
    format!("arrow_cast({ns}, 'Timestamp(Nanosecond, Some(\"UTC\"))')")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The batch with plain strings in place of dictionaries and views.
fn with_strings(batch: &RecordBatch) -> Result<RecordBatch, Problem> {
    let schema = batch.schema();
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let kind = match field.data_type() {
            DataType::Dictionary(..) | DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            other => other.clone(),
        };
        columns.push(cast(column, &kind).map_err(Problem::fault)?);
        fields.push(Field::new(field.name(), kind, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Problem::fault)
}
