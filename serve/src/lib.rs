//! What follows the store live: the page's server, its JSON, Prometheus.
//!
//! [`live`] follows the session that is being recorded; [`web`] and [`prometheus`] tell what it knows.

pub mod live;
pub mod prometheus;
pub mod web;
