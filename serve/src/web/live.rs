//! `/api/live`, `/api/status`, `/healthz`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::app::App;
use super::params::Params;
use super::problem::{Problem, json_answer};
use crate::live::{Feed, Now, json_number, ms};

/// Rows for the older page's clients.
const ROWS: usize = 300;

pub(super) async fn status(State(app): State<App>) -> Response {
    let status = app.feed.status(&app.feed.now());
    json_answer(status.to_string())
}

pub(super) async fn health(State(app): State<App>) -> Response {
    match app.feed.trouble() {
        None => json_answer(json!({ "status": "ok" }).to_string()),
        Some(detail) => {
            let body = json!({ "status": "degraded", "detail": detail });
            (StatusCode::SERVICE_UNAVAILABLE, json_answer(body.to_string())).into_response()
        }
    }
}

/// What is asked of the window.
enum Wanted {
    /// No events.
    Nothing,
    /// What the stream sent after a message.
    After(u64),
    /// The window whole: seconds back, and whether the id was lost.
    Window(f64, bool),
}

pub(super) async fn live(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    app.feed.note_web();
    let seconds = params.number("window", 1.0, 900.0)?;
    let pair = params.text("pair").map(str::to_string);
    let since = params.text("since").map(|id| app.feed.number(id));
    let wanted = match (since, seconds) {
        (Some(Some(number)), _) => Wanted::After(number),
        (Some(None), seconds) => Wanted::Window(seconds.unwrap_or(900.0), true),
        (None, Some(seconds)) => Wanted::Window(seconds, false),
        (None, None) => Wanted::Nothing,
    };
    let fallback = seconds.unwrap_or(900.0);
    // Writing 15 minutes takes a while: not on a thread that serves others.
    let body =
        tokio::task::spawn_blocking(move || answer(&app.feed, wanted, fallback, pair.as_deref()));
    Ok(json_answer(body.await.map_err(Problem::fault)??))
}

/// Refuses a pair that the session does not have.
pub(super) fn check_pair(now: &Now, pair: Option<&str>) -> Result<(), Problem> {
    let (Some(pair), Some(window)) = (pair, &now.window) else { return Ok(()) };
    if window.pairs.iter().any(|known| *known.name == *pair) {
        return Ok(());
    }
    let names: Vec<&str> = window.pairs.iter().map(|p| &*p.name).collect();
    Err(Problem::wrong(format!("no pair '{pair}'; the session has {}", names.join(" and "))))
}

fn answer(
    feed: &Feed,
    wanted: Wanted,
    fallback_s: f64,
    pair: Option<&str>,
) -> Result<String, Problem> {
    let now = feed.now();
    check_pair(&now, pair)?;
    let wanted = match wanted {
        Wanted::After(number) => match now.log.since(number) {
            Some(messages) if messages.iter().all(|m| m.event != "reset") => {
                let kept = messages.iter().filter(|m| is_for(m.pair.as_deref(), pair));
                let events = kept.map(|m| event(m.event, &m.data)).collect();
                return Ok(body(feed, &now, pair, false, events));
            }
            _ => Wanted::Window(fallback_s, true),
        },
        other => other,
    };
    let Wanted::Window(seconds, reset) = wanted else {
        return Ok(body(feed, &now, pair, false, Vec::new()));
    };
    let time_ns = now.time_ns();
    let mut events = head(feed, &now);
    let copy = now.window.as_ref().map(|w| w.copy(time_ns, (seconds * 1e9) as i64));
    let frame = body(feed, &now, pair, reset, Vec::new());
    drop(now);
    let messages = copy.map(|copy| copy.messages(pair)).unwrap_or_default();
    events.extend(messages.iter().map(|(name, data)| event(name, data)));
    let open = frame.strip_suffix("]}").unwrap_or(&frame);
    Ok(format!("{open}{}]}}", events.join(",")))
}

pub(super) fn is_for(about: Option<&str>, pair: Option<&str>) -> bool {
    about.is_none() || pair.is_none() || about == pair
}

fn event(name: &str, data: &str) -> String {
    format!("{{\"event\":\"{name}\",\"data\":{data}}}")
}

/// The messages that come first: session, marks, status.
pub(super) fn first_messages(feed: &Feed, now: &Now) -> [(&'static str, String); 3] {
    let at = now.time_ns();
    let session = now.window.as_ref().map(|w| w.session_json(at));
    let marks = match &now.window {
        Some(window) => window.marks_json(),
        None => json!({ "marks": [], "flows": [] }),
    };
    [
        ("session", session.unwrap_or(Value::Null).to_string()),
        ("marks", marks.to_string()),
        ("status", feed.status(now).to_string()),
    ]
}

fn head(feed: &Feed, now: &Now) -> Vec<String> {
    first_messages(feed, now).iter().map(|(name, data)| event(name, data)).collect()
}

fn body(feed: &Feed, now: &Now, pair: Option<&str>, reset: bool, events: Vec<String>) -> String {
    let at = now.time_ns();
    let last = now.window.as_ref().map(|w| w.last_pairs(pair, ROWS)).unwrap_or_default();
    let rows = last.iter().map(|row| {
        json!({
            "t": ms(row.ts_ns), "lat_ms": json_number(row.latency_ms()),
            "power_w": json_number(row.power_w),
        })
    });
    let rows: Value = rows.collect();
    let session = now.window.as_ref().map_or(Value::Null, |w| w.session_json(at));
    format!(
        "{{\"rows\":{rows},\"id\":\"{}\",\"now\":{},\"reset\":{reset},\"session\":{session},\"events\":[{}]}}",
        feed.id(now.log.last()),
        ms(at),
        events.join(","),
    )
}
