//! The two listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use bl_query::Runtime;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::access::{Access, AccessError};
use super::app::App;
use super::guard::guard;
use super::limits::Limits;
use super::listen::{self, connections};
use super::routes::{metric_routes, web_routes};
use super::workers::Workers;
use crate::live::Feed;
use crate::prometheus::MetricOptions;

/// Open answers get this long at the end.
const END: Duration = Duration::from_secs(2);

/// Where to listen, and for whom.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address of the page and the JSON routes; none: not served.
    pub web: Option<SocketAddr>,
    /// Address of the metrics; none: not served.
    pub prometheus: Option<SocketAddr>,
    /// What clients must present.
    pub token: Option<String>,
    /// Whether `/api/query` answers.
    pub allows_query: bool,
    /// How much anybody may ask.
    pub limits: Limits,
    /// What the metrics hold.
    pub metrics: MetricOptions,
}

/// Why it cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody would be kept out.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {}", reason(.cause))]
    Listen {
        /// The page or the metrics.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// Queries cannot be set up.
    #[error(transparent)]
    Query(#[from] bl_query::QueryError),
    /// The system has no thread left.
    #[error("no threads for queries: {0}")]
    Threads(#[source] io::Error),
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another address".into()
        }
        io::ErrorKind::PermissionDenied => {
            "that port is for root only; choose one above 1023".into()
        }
        _ => error.to_string(),
    }
}

/// A server that listens, and serves once [`run`](Self::run) is awaited.
pub struct Server {
    web: Option<(TcpListener, Access)>,
    prometheus: Option<(TcpListener, Access)>,
    app: App,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Takes the addresses. Needs a tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on, or is open to other machines without a token.
    pub async fn bind(feed: Feed, options: ServeOptions) -> Result<Self, ServeError> {
        let token = options.token.as_deref();
        let web = bind("the web view", options.web, token).await?;
        let prometheus = bind("Prometheus", options.prometheus, token).await?;
        let (stop, stopping) = watch::channel(false);
        let limits = options.limits;
        let workers = |name| -> Result<Arc<Workers>, ServeError> {
            let started = Workers::start(name, limits.parallel, limits.turn_patience);
            started.map(Arc::new).map_err(ServeError::Threads)
        };
        let app = App {
            feed,
            allows_query: options.allows_query,
            limits,
            sql: workers("sql")?,
            past: workers("past")?,
            runtime: Runtime::unlimited()?,
            kept_frames: Arc::default(),
            kept_power: Arc::default(),
            compressed: Arc::default(),
            metrics: Arc::new(options.metrics),
            stopping,
        };
        let server = Self { web, prometheus, app, stop };
        let text = |address: Option<SocketAddr>| address.map(|a| a.to_string());
        server
            .app
            .feed
            .set_addresses(text(server.web_address()), text(server.prometheus_address()));
        Ok(server)
    }

    /// Where the page is.
    pub fn web_address(&self) -> Option<SocketAddr> {
        self.web.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Where the metrics are.
    pub fn prometheus_address(&self) -> Option<SocketAddr> {
        self.prometheus.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Serves until `stop` is ready; streams are closed then, and answers on their way get two seconds.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { web, prometheus, app, stop: sender } = self;
        let limits = app.limits;
        let web = serve(web, web_routes(app.clone()), connections(&limits), &app);
        let metrics = metric_routes(app.clone());
        let prometheus = serve(prometheus, metrics, limits.metric_connections, &app);
        let both = async {
            tokio::join!(web, prometheus);
        };
        tokio::pin!(both);
        tokio::select! {
            () = &mut both => return,
            () = stop => {}
        }
        // Nobody may be left who listens to it.
        let _ = sender.send(true);
        let _ = tokio::time::timeout(END, both).await;
    }
}

async fn bind(
    what: &'static str,
    address: Option<SocketAddr>,
    token: Option<&str>,
) -> Result<Option<(TcpListener, Access)>, ServeError> {
    let Some(address) = address else { return Ok(None) };
    let access = Access::new(address, token)?;
    match TcpListener::bind(address).await {
        Ok(listener) => {
            let port = listener.local_addr().map_or(address.port(), |bound| bound.port());
            Ok(Some((listener, access.on_port(port))))
        }
        Err(cause) => Err(ServeError::Listen { what, address, cause }),
    }
}

async fn serve(
    listener: Option<(TcpListener, Access)>,
    routes: Router,
    connections: usize,
    app: &App,
) {
    let mut stopping = app.stopping();
    let Some((listener, access)) = listener else {
        // Nothing to serve here: it is over when the other is.
        let _ = stopping.changed().await;
        return;
    };
    let routes = routes.layer(from_fn_with_state(access, guard));
    listen::serve(listener, routes, connections, app.limits, stopping).await;
}
