//! `/api/sessions` and the routes below it.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use bl_store::SessionId;
use serde_json::{Value, json};

use super::app::App;
use super::params::Params;
use super::past::Past;
use super::problem::{Problem, json_answer};
use super::store_rows::StoreRows;
use super::thin::{extremes, means};
use super::{summary, timeline};
use crate::live::{
    Cells, Entry, Marks, POWER_COLUMNS, PairRow, PowerRow, Series, board_json, key_of, pairs_json,
    power_json, series_json,
};

pub(super) async fn list(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    let limit = params.number("limit", 1_usize, 1_000)?.unwrap_or(200);
    let (all, counted, time_ns) = known(&app);
    let first = match params.text("before") {
        None => 0,
        Some(id) => match all.iter().position(|e| e.session.id().as_str() == id) {
            Some(at) => at + 1,
            None => return Err(missing(id)),
        },
    };
    // The bytes of each are summed over its files: not on a thread that serves others.
    let written = tokio::task::spawn_blocking(move || {
        let page = &all[first..all.len().min(first + limit)];
        let json = |entry: &Entry| {
            let counted = counted.as_ref().filter(|(id, _)| id == entry.session.id());
            entry.json(time_ns, counted.map(|(_, rows)| rows), entry.bytes())
        };
        let next = page.last().filter(|_| first + limit < all.len());
        let next = next.map(|e| e.session.id().as_str());
        json!({ "sessions": page.iter().map(json).collect::<Vec<_>>(), "next": next }).to_string()
    });
    Ok(json_answer(written.await.map_err(Problem::fault)?))
}

/// The session that is shown as live, with its rows by table.
type Followed = (SessionId, BTreeMap<&'static str, u64>);

/// All sessions, newest first; the rows counted of the one that is shown as live; the time.
fn known(app: &App) -> (Vec<Entry>, Option<Followed>, i64) {
    let now = app.feed.now();
    let all = now.catalog.newest_first().into_iter().cloned().collect();
    let counted = now.window.as_ref().map(|w| (w.entry.session.id().clone(), w.rows.clone()));
    (all, counted, now.time_ns())
}

fn missing(id: &str) -> Problem {
    Problem::missing(format!("no session '{id}'; bl sessions lists them"))
}

fn entry(app: &App, id: &str) -> Result<(Entry, Value, i64), Problem> {
    let now = app.feed.now();
    let entry = now.catalog.get(id).cloned().ok_or_else(|| missing(id))?;
    let rows = now.window.as_ref().filter(|w| w.entry.session.id() == entry.session.id());
    let time_ns = now.time_ns();
    let json = entry.json(time_ns, rows.map(|w| &w.rows), entry.bytes());
    Ok((entry, json, time_ns))
}

pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (entry, session, _) = entry(&app, &id)?;
    let turn = app.past.turn().await?;
    let rows = StoreRows::new(&app);
    let work = async move {
        let boards = rows.boards(&entry).await?;
        let told: Value =
            boards.iter().map(|uid| board_json(entry.session.manifest(), uid)).collect();
        let session = with_devices(session, &boards);
        Ok::<_, Problem>(json!({ "session": session, "boards": told }).to_string())
    };
    Ok(json_answer(app.past.spawn(turn, work)?.await.map_err(Problem::fault)??))
}

/// The session with the boards that its rows are of.
fn with_devices(mut session: Value, boards: &[String]) -> Value {
    session["devices"] = json!(boards);
    session
}

/// One part of a session: `summary`, `timeline`, ...
pub(super) async fn part(
    State(app): State<App>,
    Path((id, part)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let (entry, session, now_ns) = entry(&app, &id)?;
    let turn = app.past.turn().await?;
    let asked = Asked { app: app.clone(), entry, session, now_ns, part, params };
    let body = app.past.spawn(turn, asked.answer())?.await.map_err(Problem::fault)??;
    Ok(json_answer(body))
}

/// What is asked of a session.
struct Asked {
    app: App,
    entry: Entry,
    session: Value,
    now_ns: i64,
    part: String,
    params: Params,
}

impl Asked {
    async fn answer(self) -> Result<String, Problem> {
        let Self { app, entry, session, now_ns, part, params } = self;
        let boards = StoreRows::new(&app);
        let past = Past::new(&app, entry.clone(), now_ns, &params)?;
        let body = match part.as_str() {
            "summary" => {
                let session = with_devices(session, &boards.boards(&entry).await?);
                summary::summary(&past, session).await?
            }
            "timeline" => timeline::timeline(&past).await?,
            "latency" => latency(&past).await?,
            "rails" => rails(&past, params.text("cols")).await?,
            "channels" => channels(&past, params.text("table")).await?,
            "marks" => marks(&app, &past).await?,
            _ => return Err(Problem::missing(format!("no route {part} of a session"))),
        };
        Ok(body.to_string())
    }
}

async fn latency(past: &Past) -> Result<Value, Problem> {
    let all = past.frames().await?;
    let (paired, others): (Vec<PairRow>, Vec<PairRow>) =
        all.iter().partition(|row| row.latency_ns.is_some());
    let is_exact = paired.len() <= 2 * past.points;
    let ts: Vec<i64> = paired.iter().map(|row| row.ts_ns).collect();
    let columns = [
        paired.iter().map(PairRow::latency_ms).collect::<Vec<f64>>(),
        paired.iter().map(|row| row.power_w).collect(),
    ];
    let mut kept: Vec<PairRow> = match is_exact {
        true => paired.clone(),
        false => extremes(&ts, &columns, past.buckets()).into_iter().map(|i| paired[i]).collect(),
    };
    let every = others.len().div_ceil(past.points).max(1);
    kept.extend(others.iter().step_by(every));
    let mut out = pairs_json(&past.pair_name().unwrap_or_else(|| ",".into()), &kept);
    out.insert("total".into(), json!(paired.len()));
    out.insert("exact".into(), json!(is_exact));
    if !is_exact {
        let [lat_ms, power_w] = &columns;
        let columns = [("lat_ms", lat_ms), ("power_w", power_w)];
        out.insert("means".into(), means(&ts, &columns, past.buckets()));
    }
    Ok(Value::Object(out))
}

async fn rails(past: &Past, cols: Option<&str>) -> Result<Value, Problem> {
    let wanted = |name: &str| cols.is_none_or(|list| list.split(',').any(|c| c == name));
    if let Some(list) = cols
        && let Some(name) = list.split(',').find(|c| !POWER_COLUMNS.contains(c))
    {
        return Err(Problem::wrong(format!(
            "no column '{name}'; there are {}",
            POWER_COLUMNS.join(", ")
        )));
    }
    let all = past.power().await?;
    let device = past.device.as_deref().unwrap_or_default();
    let ts: Vec<i64> = all.iter().map(|row| row.ts_ns).collect();
    let columns: Vec<(&str, Vec<f64>)> = POWER_COLUMNS
        .iter()
        .enumerate()
        .filter(|(_, name)| wanted(name))
        .map(|(at, name)| (*name, all.iter().map(|row| row.watts(at)).collect::<Vec<f64>>()))
        .filter(|(name, values)| *name == "sys_w" || values.iter().any(|v| !v.is_nan()))
        .collect();
    let is_exact = all.len() <= 2 * past.points;
    let values: Vec<Vec<f64>> = columns.iter().map(|(_, values)| values.clone()).collect();
    let kept: Vec<&PowerRow> = match is_exact {
        true => all.iter().collect(),
        false => extremes(&ts, &values, past.buckets()).into_iter().map(|i| &all[i]).collect(),
    };
    let mut out = power_json(device, kept.iter().copied(), wanted);
    out.insert("total".into(), json!(all.len()));
    out.insert("exact".into(), json!(is_exact));
    if !is_exact {
        let columns: Vec<(&str, &Vec<f64>)> = columns.iter().map(|(n, v)| (*n, v)).collect();
        out.insert("means".into(), means(&ts, &columns, past.buckets()));
    }
    Ok(Value::Object(out))
}

async fn channels(past: &Past, tables: Option<&str>) -> Result<Value, Problem> {
    let all: Vec<&str> = bl_schemas::series_tables().map(|table| table.name.as_str()).collect();
    let names: Vec<&str> = tables.map_or(all.clone(), |list| list.split(',').collect());
    let mut out = Vec::new();
    for name in names {
        let Some(table) = bl_schemas::table(name).filter(|table| table.key.is_some()) else {
            let text = format!("no table '{name}'; there are {}", all.join(", "));
            return Err(Problem::wrong(text));
        };
        let mut series: Vec<Series> = Vec::new();
        for batch in past.slow(table).await? {
            let cells = Cells(&batch);
            for row in 0..cells.rows() {
                let key = key_of(table, &cells, row);
                match series.iter_mut().find(|s| s.key == key) {
                    Some(found) => found.push(&cells, row),
                    None => series.push(Series::new(table, &cells, row)),
                }
                if let Some(found) = series.iter_mut().find(|s| s.key == key) {
                    found.keep();
                }
            }
        }
        out.extend(series.iter().map(|s| series_json(s, &s.rows.iter().collect::<Vec<_>>())));
    }
    Ok(json!({ "series": out }))
}

async fn marks(app: &App, past: &Past) -> Result<Value, Problem> {
    let mut marks = Marks::default();
    for batch in past.whole("marks").await? {
        marks.push(&batch);
    }
    let steps = &app.feed.options().steps;
    if steps.is_empty() {
        return Ok(marks.json(steps, |_, _| Default::default()));
    }
    let (frames, power) = (past.frames().await?, past.power().await?);
    Ok(marks.json(steps, |begin_ns, end_ns| summary::cost(&frames, &power, begin_ns, end_ns)))
}
