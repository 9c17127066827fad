//! Rows of a session on disk, read through `bl_query`; frames are those of table `latency`.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use bl_query::latency::{LatencyOptions, Method};
use bl_store::Footer;

use super::app::App;
use super::kept::{Kept, Key, Stretch, Timed};
use super::params::Params;
use super::problem::Problem;
use super::store_rows::{StoreRows, with_strings};
use super::thin::Buckets;
use crate::live::{Cells, Entry, POWER_COLUMNS, PairRow, PowerRow, StagePair};

/// What is asked of a session.
pub(super) struct Past {
    app: App,
    entry: Entry,
    store: StoreRows,
    /// The pair of stages, where the session has one.
    pub pair: Option<StagePair>,
    /// The board; the one with the first sample where none was named.
    pub device: Option<String>,
    /// The one that was named.
    asked_device: Option<String>,
    /// First and last time of the session.
    whole_ns: (i64, i64),
    pub from_ns: i64,
    pub to_ns: i64,
    pub points: usize,
    window_ns: i64,
}

impl Past {
    /// Reads the query of a request.
    pub fn new(app: &App, entry: Entry, now_ns: i64, params: &Params) -> Result<Self, Problem> {
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
            app: app.clone(),
            entry,
            store: StoreRows::new(app),
            pair,
            device,
            asked_device,
            whole_ns: (start_ns, end_ns),
            from_ns,
            to_ns,
            points,
            window_ns: app.feed.options().window_ns,
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
        self.store.of(&self.entry, self.latency(), sql).await
    }

    fn latency(&self) -> LatencyOptions {
        let method = Method {
            window_ns: self.window_ns,
            device: self.asked_device.clone(),
            ..Method::default()
        };
        LatencyOptions { pairs: self.pair.iter().cloned().collect(), method }
    }

    /// Those of the kept rows that are asked for. Rows of most of a session are worth to be kept whole, for the other
    /// parts of the page; none of one that is still recorded.
    async fn kept<T: Timed + Send + Sync + 'static>(
        &self,
        kept: &Kept<T>,
        device: &Option<String>,
        read: impl Future<Output = Result<Vec<T>, Problem>>,
    ) -> Result<Option<Stretch<T>>, Problem> {
        if self.entry.is_live {
            return Ok(None);
        }
        let (start_ns, end_ns) = self.whole_ns;
        let is_most = (self.to_ns - self.from_ns) as f64 > 0.25 * (end_ns - start_ns) as f64;
        let manifest = self.entry.session.manifest().clone();
        let key = Key { manifest, pair: self.pair.clone(), device: device.clone() };
        kept.between(key, (self.from_ns, self.to_ns), is_most, read).await
    }

    fn between(&self) -> String {
        between((self.from_ns, self.to_ns))
    }

    /// Samples of the board, sorted by time.
    pub async fn power(&self) -> Result<Stretch<PowerRow>, Problem> {
        let Some(device) = &self.device else { return Ok(Vec::new().into()) };
        let whole = self.read_power(device, self.whole_ns);
        match self.kept(&self.app.kept_power, &self.device, whole).await? {
            Some(rows) => Ok(rows),
            None => Ok(self.read_power(device, (self.from_ns, self.to_ns)).await?.into()),
        }
    }

    async fn read_power(
        &self,
        device: &str,
        span_ns: (i64, i64),
    ) -> Result<Vec<PowerRow>, Problem> {
        let columns = POWER_COLUMNS.join(", ");
        let between = between(span_ns);
        // Recordings of other tools may not tell which board they are of.
        let is_it = match device {
            "" => "device_uid IS NULL".to_string(),
            uid => format!("device_uid = {}", quoted(uid)),
        };
        let sql =
            format!("SELECT ts, {columns} FROM benchlab WHERE {is_it} AND {between} ORDER BY ts");
        let mut out = Vec::new();
        let take = |batch: RecordBatch| {
            let cells = Cells(&batch);
            let watts = |row| POWER_COLUMNS.map(|name| cells.number(name, row));
            out.extend(
                (0..cells.rows()).map(|row| PowerRow::from_watts(cells.ts()[row], watts(row))),
            );
        };
        self.store.each(&self.entry, self.latency(), &sql, take).await?;
        Ok(out)
    }

    /// Frames that entered `stage_a` in the time asked for, sorted by that time.
    pub async fn frames(&self) -> Result<Stretch<PairRow>, Problem> {
        let Some(pair) = &self.pair else { return Ok(Vec::new().into()) };
        let whole = self.read_frames(pair, self.whole_ns);
        match self.kept(&self.app.kept_frames, &self.asked_device, whole).await? {
            Some(rows) => Ok(rows),
            None => Ok(self.read_frames(pair, (self.from_ns, self.to_ns)).await?.into()),
        }
    }

    async fn read_frames(
        &self,
        (a, b): &StagePair,
        span_ns: (i64, i64),
    ) -> Result<Vec<PairRow>, Problem> {
        let sql = format!(
            "SELECT ts, frame, latency_ms, dropped, power_w, energy_j FROM latency \
             WHERE stage_a = {} AND stage_b = {} AND {} ORDER BY ts",
            quoted(a),
            quoted(b),
            between(span_ns)
        );
        let mut out = Vec::new();
        let take = |batch: RecordBatch| {
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
        };
        self.store.each(&self.entry, self.latency(), &sql, take).await?;
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
        [only] => Ok(Some(only.to_string())),
        // An import, or a recorder that was killed, has told nothing of boards: the rows say.
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

fn between((from_ns, to_ns): (i64, i64)) -> String {
    format!("ts >= {} AND ts <= {}", stamp(from_ns), stamp(to_ns))
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
