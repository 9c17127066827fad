//! The two listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use bl_query::Runtime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::access::{Access, AccessError, guard};
use super::app::App;
use super::routes::{metric_routes, web_routes};
use crate::live::Feed;
use crate::prometheus::MetricOptions;

/// Queries over the store at a time.
const QUERIES: usize = 2;
/// A client that takes nothing for this long is cut off.
const CLIENT_PATIENCE_MS: u32 = 30_000;
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
        let web = listen("the web view", options.web, token).await?;
        let prometheus = listen("Prometheus", options.prometheus, token).await?;
        let (stop, stopping) = watch::channel(false);
        let app = App {
            feed,
            queries: Arc::new(Semaphore::new(QUERIES)),
            allows_query: options.allows_query,
            runtime: Runtime::unlimited()?,
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
    ///
    /// # Errors
    /// When a listener breaks.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let Self { web, prometheus, app, stop: sender } = self;
        let web = serve(web, web_routes(app.clone()), app.stopping());
        let prometheus = serve(prometheus, metric_routes(app.clone()), app.stopping());
        let both = async { tokio::try_join!(web, prometheus).map(|_| ()) };
        tokio::pin!(both);
        tokio::select! {
            done = &mut both => return done,
            () = stop => {}
        }
        // Nobody may be left who listens to it.
        let _ = sender.send(true);
        tokio::time::timeout(END, both).await.unwrap_or(Ok(()))
    }
}

async fn listen(
    what: &'static str,
    address: Option<SocketAddr>,
    token: Option<&str>,
) -> Result<Option<(TcpListener, Access)>, ServeError> {
    let Some(address) = address else { return Ok(None) };
    let access = Access::new(address, token)?;
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some((listener, access))),
        Err(cause) => Err(ServeError::Listen { what, address, cause }),
    }
}

async fn serve(
    listener: Option<(TcpListener, Access)>,
    routes: Router,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let Some((listener, access)) = listener else {
        // Nothing to serve here: it is over when the other is.
        let _ = stopping.changed().await;
        return Ok(());
    };
    let routes = routes.layer(from_fn_with_state(access, guard));
    let stop = async move {
        let _ = stopping.changed().await;
    };
    axum::serve(listener.tap_io(set_up), routes).with_graceful_shutdown(stop).await
}

/// Small messages go at once; a client that has stopped reading does not hold a socket for ever.
fn set_up(socket: &mut TcpStream) {
    // A socket without these works as well.
    let _ = socket.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&*socket, CLIENT_PATIENCE_MS);
}
