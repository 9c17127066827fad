//! Nothing but features of dependencies: see its `Cargo.toml`.
