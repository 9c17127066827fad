//! `bl serve`: the page, the JSON routes and the metrics.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use anyhow::Context;
use bl_serve::live::{Feed, FeedOptions, Step};
use bl_serve::prometheus::MetricOptions;
use bl_serve::web::{Limits, ServeOptions, Server};
use bl_store::Store;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::config::{Config, Sources};

/// Arguments of `bl serve`.
///
/// It follows the store and only reads: recording goes on whether it runs or not. Everything listens on this machine
/// only, unless another address is given; that takes a token (web.token_file).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the page and the JSON routes (default 127.0.0.1:3010).
    #[arg(long, value_name = "ADDRESS:PORT")]
    web_bind: Option<String>,
    /// Address of the metrics for Prometheus (default 127.0.0.1:9109).
    #[arg(long, value_name = "ADDRESS:PORT")]
    prom_bind: Option<String>,
    /// Pairs of stages to show of sessions that do not say what they were recorded for (default: pipeline.pairs).
    #[arg(long, value_name = "A:B,..")]
    pairs: Option<String>,
    /// Answer /api/query: SQL that only reads, within limits of rows, time and memory.
    #[arg(long)]
    allow_query: bool,
}

/// Runs `bl serve`.
///
/// # Errors
/// When an address cannot be listened on, or is open to other machines without a token.
pub fn run(args: Args, mut sources: Sources<'static>) -> anyhow::Result<()> {
    let flags = &mut sources.flags;
    flags.set("--web-bind", "web.bind", args.web_bind.as_ref());
    flags.set("--prom-bind", "prometheus.bind", args.prom_bind.as_ref());
    flags.set("--pairs", "pipeline.pairs", args.pairs.as_ref());
    let config = Config::load(&sources)?;
    let runtime = runtime()?;
    let server = runtime.block_on(bind(&config, args.allow_query))?;
    runtime.block_on(server.run(stopped()?));
    Ok(())
}

/// The server in a thread of its own, beside a recording. It ends when this is dropped.
pub struct Beside {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves beside a recording.
///
/// # Errors
/// As of [`run`].
pub fn beside(config: &Config) -> anyhow::Result<Beside> {
    let runtime = runtime()?;
    let server = runtime.block_on(bind(config, false))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move || {
        let stopped = async {
            let _ = stopped.await;
        };
        runtime.block_on(server.run(stopped));
    };
    let thread = std::thread::Builder::new().name("serve".into()).spawn(serve)?;
    Ok(Beside { stop: Some(stop), thread: Some(thread) })
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported on standard error.
            let _ = thread.join();
        }
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("serve")
        .enable_all()
        .build()
        .context("cannot start the server's threads")
}

async fn bind(config: &Config, allows_query: bool) -> anyhow::Result<Server> {
    let feed = Feed::start(feed_options(config)?)?;
    let options = ServeOptions {
        web: config.web.enabled.then_some(config.web.bind.0),
        prometheus: config.prometheus.enabled.then_some(config.prometheus.bind.0),
        token: config.web.token.as_ref().map(|token| token.expose().to_string()),
        allows_query,
        limits: Limits::default(),
        metrics: metric_options(config),
    };
    let server = Server::bind(feed, options).await?;
    tell(server.web_address(), server.prometheus_address(), config.web.token.is_some());
    Ok(server)
}

/// What is followed.
pub fn feed_options(config: &Config) -> anyhow::Result<FeedOptions> {
    Ok(FeedOptions {
        store: Store::new(&config.general.data_root),
        pairs: config.pipeline.pairs.clone(),
        window_ns: i64::from(config.pipeline.window_ms) * 1_000_000,
        steps: (config.flow()?.into_iter())
            .map(|step| Step { name: step.id, target_ms: step.latency_target_ms })
            .collect(),
        node: config.general.node_name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// What the metrics hold.
pub fn metric_options(config: &Config) -> MetricOptions {
    MetricOptions { compat_names: config.prometheus.compat_names }
}

fn tell(web: Option<SocketAddr>, prometheus: Option<SocketAddr>, has_token: bool) {
    if let Some(address) = web {
        let how = if has_token { ", for those with the token" } else { "" };
        eprintln!("the page is at http://{address}/{how}");
    }
    if let Some(address) = prometheus {
        eprintln!("metrics for Prometheus are at http://{address}/metrics");
    }
    if web.is_none() && prometheus.is_none() {
        eprintln!("web.enabled and prometheus.enabled are both false: nothing is served");
    }
}

/// Ready at Ctrl-C or SIGTERM.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        .context("cannot listen for signals")?;
    let (sender, receiver) = oneshot::channel::<()>();
    let wait = move || {
        signals.forever().next();
        // The server may have ended by itself.
        let _ = sender.send(());
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(async {
        let _ = receiver.await;
    })
}
