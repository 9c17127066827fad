//! The web view's server: the embedded page, the JSON routes of `web/API.md`, the stream, and the metrics.
//!
//! It only reads. Each answer is made from a copy of what the feed knows, or from a query over the store.

mod access;
mod app;
mod assets;
mod compressed;
mod escapes;
mod guard;
mod kept;
mod limits;
mod listen;
mod live;
mod params;
mod past;
mod problem;
mod routes;
mod server;
mod sessions;
mod sign_in;
mod sql;
mod store_rows;
mod stream;
mod summary;
mod thin;
mod timeline;
mod workers;

#[cfg(test)]
mod tests;

pub use access::{Access, AccessError, MIN_TOKEN};
pub use limits::Limits;
pub use server::{ServeError, ServeOptions, Server};
