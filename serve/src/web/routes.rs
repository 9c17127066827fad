//! The routes of the two listeners.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::app::App;
use super::problem::{Problem, json_answer};
use super::{assets, live, sessions, sql, stream};
use crate::prometheus::{self, Format};

/// The routes of the web view, each with the path that the OpenAPI document gives it.
pub(super) fn web_routes(app: App) -> Router {
    Router::new()
        .route("/api/live", get(live::live))
        .route("/api/stream", get(stream::stream))
        .route("/api/status", get(live::status))
        .route("/api/sessions", get(sessions::list))
        .route("/api/sessions/{id}", get(sessions::one))
        .route("/api/sessions/{id}/{part}", get(sessions::part))
        .route("/api/query", get(sql::query))
        .route("/api/openapi.json", get(openapi))
        .route("/healthz", get(live::health))
        .fallback(get(assets::file))
        .with_state(app)
}

async fn openapi() -> Response {
    json_answer(include_str!("openapi.json").into())
}

/// The routes of the metrics.
pub(super) fn metric_routes(app: App) -> Router {
    let missing = || async { Problem::missing("the metrics are at /metrics") };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(live::health))
        .fallback(get(missing))
        .with_state(app)
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    app.feed.note_prometheus();
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accepted.unwrap_or_default());
    match prometheus::render(&app.feed, &app.metrics, format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
