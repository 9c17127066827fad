//! Boards that other programs read: servers in the network that hand on what a BENCHLAB says.
//!
//! What these servers send carries no instant that could be trusted: rows are stamped by this machine's clock as the
//! readings arrive, and `ts_err_ns` is null unless the server reads the board while it is asked.

mod board;
mod fastapi;
mod http;
mod kit;
mod lines;
mod link;
mod mqtt;
mod presence;
mod readings;
mod websocket;

pub use fastapi::FastApiSource;
pub use kit::{KitOptions, KitScanner, KitSource};
pub use mqtt::{MqttOptions, MqttSource};
