//! Runs a SQL file.
fn main() {}
