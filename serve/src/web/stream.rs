//! `/api/stream`: server-sent events, one stream for everything, resumable by id.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::app::App;
use super::live::{check_pair, first_messages, is_for};
use super::params::Params;
use super::problem::Problem;
use crate::live::{ClientGuard, Feed, Message};

/// Comments come this often where nothing else does.
const ALIVE: Duration = Duration::from_secs(10);

pub(super) async fn stream(
    State(app): State<App>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let most = app.limits.streams;
    if app.feed.clients() >= most {
        let detail = format!("{most} streams are open already: close some");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
    }
    app.feed.note_web();
    let asked = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let asked = asked.filter(|id| !id.is_empty()).or(params.text("since"));
    let pair = params.text("pair").map(str::to_string);
    let client = Client::begin(&app.feed, app.stopping(), asked, pair)?;
    let body = futures::stream::unfold(client, |mut client| async move {
        let chunk = client.next().await?;
        Some((Ok::<_, Infallible>(chunk), client))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies are not to collect it.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// One client of the stream.
struct Client {
    feed: Feed,
    receiver: Receiver<std::sync::Arc<Message>>,
    stopping: watch::Receiver<bool>,
    pair: Option<String>,
    /// What waits to be sent, oldest first.
    ready: VecDeque<String>,
    has_lagged: bool,
    _guard: ClientGuard,
}

impl Client {
    fn begin(
        feed: &Feed,
        stopping: watch::Receiver<bool>,
        asked: Option<&str>,
        pair: Option<String>,
    ) -> Result<Self, Problem> {
        let now = feed.now();
        check_pair(&now, pair.as_deref())?;
        // Under the same lock as the log, so that no message falls between the two.
        let receiver = feed.subscribe();
        let last = now.log.last();
        let resumed = asked.map(|id| feed.number(id).and_then(|n| Some((n, now.log.since(n)?))));
        let mut ready = VecDeque::from(["retry: 1000\n\n".to_string()]);
        let from = match &resumed {
            Some(Some((number, _))) => *number,
            _ => last,
        };
        if let Some(None) = resumed {
            ready.push_back(text(&feed.id(last), "reset", "{}"));
        }
        for (event, data) in first_messages(feed, &now) {
            ready.push_back(text(&feed.id(from), event, &data));
        }
        let missed = resumed.flatten().map(|(_, messages)| messages).unwrap_or_default();
        for message in missed.iter().filter(|m| is_for(m.pair.as_deref(), pair.as_deref())) {
            ready.push_back(text(&feed.id(message.number), message.event, &message.data));
        }
        drop(now);
        Ok(Self {
            _guard: feed.count_client(),
            feed: feed.clone(),
            receiver,
            stopping,
            pair,
            ready,
            has_lagged: false,
        })
    }

    /// The next piece; none when the stream is over.
    async fn next(&mut self) -> Option<String> {
        if !self.ready.is_empty() {
            return Some(self.ready.drain(..).collect());
        }
        if self.has_lagged {
            return None;
        }
        loop {
            let received = tokio::select! {
                received = self.receiver.recv() => received,
                () = tokio::time::sleep(ALIVE) => return Some(": \n\n".into()),
                _ = self.stopping.changed() => return None,
            };
            match received {
                Ok(message) if is_for(message.pair.as_deref(), self.pair.as_deref()) => {
                    return Some(text(&self.feed.id(message.number), message.event, &message.data));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    // It is told, and closed: it comes back for the window.
                    self.has_lagged = true;
                    let last = self.feed.now().log.last();
                    let data = format!("{{\"missed\":{missed}}}");
                    return Some(text(&self.feed.id(last), "lagged", &data));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

fn text(id: &str, event: &str, data: &str) -> String {
    format!("id: {id}\nevent: {event}\ndata: {data}\n\n")
}
