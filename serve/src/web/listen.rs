//! Connections: how many, and how long each may take to ask.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::limits::Limits;

/// After an error of the system, such as no descriptor left, the next connection waits for this long.
const PAUSE: Duration = Duration::from_millis(200);

/// Connections of the page that are let in at a time: as many as the limits say, or what the descriptors of this
/// process leave beside the store, the sources and the metrics.
pub(super) fn connections(limits: &Limits) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let kept = limits.descriptors_kept + limits.metric_connections;
    limits.connections.min(descriptors.saturating_sub(kept).max(8))
}

/// Serves at most `most` connections at a time until `stopping`; then those that are open end their answers. One more
/// is closed at once: it takes neither memory nor a descriptor.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    most: usize,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let turns = Arc::new(Semaphore::new(most));
    let mut open = JoinSet::new();
    let service = TowerToHyperService::new(routes);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            _ = stopping.changed() => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(e) if is_of_client(&e) => continue,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(turn) = Arc::clone(&turns).try_acquire_owned() else { continue };
        set_up(&socket, &limits);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_patience)
            .max_buf_size(limits.request_bytes)
            .serve_connection(TokioIo::new(socket), service.clone());
        let mut stopping = stopping.clone();
        open.spawn(async move {
            tokio::pin!(connection);
            let stopped = tokio::select! {
                // Who goes away, or sends what is no request, is no fault of ours.
                _ = connection.as_mut() => false,
                _ = stopping.changed() => true,
            };
            if stopped {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            drop(turn);
        });
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

/// Small messages go at once; a client that has stopped reading does not hold a socket for ever.
fn set_up(socket: &TcpStream, limits: &Limits) {
    // A socket without these works as well.
    let _ = socket.set_nodelay(true);
    let patience_ms = u32::try_from(limits.client_patience.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(socket, patience_ms);
}
