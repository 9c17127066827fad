//! `/api/query`: SQL that only reads, within limits. Off unless it is asked for.

use std::convert::Infallible;
use std::num::NonZero;

use arrow::array::RecordBatch;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bl_query::latency::{LatencyOptions, Method};
use bl_query::tables::SessionFilter;
use bl_query::{Batches, Query, QueryError, Settings};
use bl_store::Store;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::limits::{BATCH_ROWS, Limits};
use super::params::Params;
use super::problem::Problem;
use super::workers::Work;

/// Pieces of an answer on their way to a client.
const PIECES: usize = 2;
/// About the length of a piece, bytes.
const PIECE_BYTES: usize = 1 << 20;

type Piece = Result<String, Problem>;

pub(super) async fn query(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    if !app.allows_query {
        return Err(Problem::missing("queries are off: start bl serve with --allow-query"));
    }
    let limits = app.limits;
    let sql = params.text("sql").ok_or_else(|| Problem::wrong("give the statement as ?sql="))?;
    let rows = params.number("limit", 1, limits.rows)?.unwrap_or(limits.rows);
    let question = Question::new(&app, sql, params.text("session"), rows)?;
    let turn = app.sql.turn().await?;
    let deadline = Instant::now() + limits.patience;
    let (sender, mut pieces) = channel(PIECES);
    let work = app.sql.spawn(turn, async move {
        // Whoever waits for the answer knows the deadline, too.
        let _ = timeout_at(deadline, question.answer(sender)).await;
    })?;
    // What goes wrong before the first row is an error; after it, the answer says so at its end.
    let first = match timeout_at(deadline, pieces.recv()).await {
        Err(_) => return Err(too_long(&limits)),
        Ok(None) => return Err(broken(deadline, &limits)),
        Ok(Some(piece)) => piece?,
    };
    let rest = Rest { pieces, deadline, limits, _work: work, is_over: false };
    let body = futures::stream::unfold((Some(first), rest), |(first, mut rest)| async move {
        let piece = match first {
            Some(first) => first,
            None => rest.next().await?,
        };
        Some((Ok::<_, Infallible>(piece), (None, rest)))
    });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn too_long(limits: &Limits) -> Problem {
    Problem::wrong(format!("the query takes more than {:?}: ask for less", limits.patience))
}

/// Why no piece comes any more.
fn broken(deadline: Instant, limits: &Limits) -> Problem {
    match Instant::now() >= deadline {
        true => too_long(limits),
        false => Problem::fault("the query broke off: that is a fault of bl; ask in other words"),
    }
}

/// `],"truncated":..}`, with what went wrong.
fn end(truncated: bool, error: Option<&Problem>) -> String {
    match error {
        None => format!("],\"truncated\":{truncated}}}"),
        Some(problem) => {
            let text = serde_json::Value::from(problem.detail());
            format!("],\"truncated\":true,\"error\":{text}}}")
        }
    }
}

/// What follows the first piece of an answer.
struct Rest {
    pieces: Receiver<Piece>,
    deadline: Instant,
    limits: Limits,
    /// Given up when the client is gone.
    _work: Work<()>,
    is_over: bool,
}

impl Rest {
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        let problem = match timeout_at(self.deadline, self.pieces.recv()).await {
            Ok(Some(Ok(piece))) => {
                self.is_over = piece.starts_with(']');
                return Some(piece);
            }
            Ok(Some(Err(problem))) => problem,
            Ok(None) => broken(self.deadline, &self.limits),
            Err(_) => too_long(&self.limits),
        };
        self.is_over = true;
        Some(end(true, Some(&problem)))
    }
}

/// A statement, and over what it is asked.
struct Question {
    query: Query,
    store: Store,
    filter: SessionFilter,
    latency: LatencyOptions,
    sql: String,
    rows: usize,
    limits: Limits,
}

impl Question {
    fn new(app: &App, sql: &str, session: Option<&str>, rows: usize) -> Result<Self, Problem> {
        let limits = app.limits;
        let settings = Settings {
            memory_bytes: Some(limits.memory_bytes),
            runtime: Some(app.runtime.clone()),
            batch_rows: NonZero::new(BATCH_ROWS),
            partitions: NonZero::new(limits.parallel),
        };
        let filter = match session {
            None => SessionFilter::All,
            Some(id) => {
                SessionFilter::Named(vec![id.parse().map_err(|e| Problem::wrong(format!("{e}")))?])
            }
        };
        let options = app.feed.options();
        // The same table `latency` as that of `bl query`, whether it is aligned or not.
        let method = Method { window_ns: options.window_ns, ..Method::default() };
        Ok(Self {
            query: Query::new(&settings).map_err(Problem::fault)?,
            store: options.store.clone(),
            filter,
            latency: LatencyOptions { pairs: options.pairs.clone(), method },
            sql: sql.to_string(),
            rows,
            limits,
        })
    }

    /// Sends the pieces of `{"columns":[..],"rows":[{..}],"truncated":false}`. Nobody may be left who takes them.
    async fn answer(self, sender: Sender<Piece>) {
        if let Err(problem) = self.write(&sender).await {
            let _ = sender.send(Err(problem)).await;
        }
    }

    async fn write(self, sender: &Sender<Piece>) -> Result<(), Problem> {
        let wrong = |e: QueryError| Problem::wrong(e.to_string());
        let Self { query, store, filter, latency, sql, rows, limits } = self;
        query.register_store_with(store, filter, latency).map_err(wrong)?;
        let answer = query.read_only(&sql, &limits.statement).await.map_err(wrong)?;
        let schema = answer.schema();
        let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let columns = serde_json::to_string(&columns).map_err(Problem::fault)?;
        let mut batches = answer.stream().await.map_err(wrong)?;
        let mut out = Out { sender, rows, bytes: limits.answer_bytes, is_first: true };
        let head = format!("{{\"columns\":{columns},\"rows\":[");
        let truncated = out.write(head, &mut batches).await?;
        let _ = sender.send(Ok(end(truncated, None))).await;
        Ok(())
    }
}

/// Where the rows of an answer go, and how much is still allowed.
struct Out<'a> {
    sender: &'a Sender<Piece>,
    rows: usize,
    bytes: usize,
    is_first: bool,
}

impl Out<'_> {
    /// Sends `head` with the first rows, and then the others. Returns whether some were left out.
    async fn write(&mut self, head: String, batches: &mut Batches) -> Result<bool, Problem> {
        let mut head = Some(head);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|e| Problem::wrong(e.to_string()))?;
            // Pieces are made of the rows that about fit into them.
            let row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
            let step = (PIECE_BYTES / row_bytes.max(1)).max(1);
            for from in (0..batch.num_rows()).step_by(step) {
                let count = step.min(batch.num_rows() - from);
                let taken = count.min(self.rows);
                let json = json_rows(&batch.slice(from, taken))?;
                let fits = json.len() <= self.bytes;
                if fits && taken > 0 {
                    let comma = if self.is_first { "" } else { "," };
                    self.is_first = false;
                    self.rows -= taken;
                    self.bytes -= json.len();
                    self.send(format!("{}{comma}{json}", head.take().unwrap_or_default())).await?;
                }
                if !fits || taken < count {
                    self.send_head(&mut head).await?;
                    return Ok(true);
                }
            }
        }
        self.send_head(&mut head).await?;
        Ok(false)
    }

    async fn send_head(&self, head: &mut Option<String>) -> Result<(), Problem> {
        match head.take() {
            Some(head) => self.send(head).await,
            None => Ok(()),
        }
    }

    async fn send(&self, piece: String) -> Result<(), Problem> {
        self.sender.send(Ok(piece)).await.map_err(|_| Problem::fault("the client is gone"))
    }
}

/// Rows as JSON objects, with commas between.
fn json_rows(rows: &RecordBatch) -> Result<String, Problem> {
    let mut writer = arrow::json::writer::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(Vec::new());
    writer.write(rows).map_err(Problem::fault)?;
    writer.finish().map_err(Problem::fault)?;
    let text = String::from_utf8(writer.into_inner()).map_err(Problem::fault)?;
    Ok(text.trim_start_matches('[').trim_end_matches(']').to_string())
}
