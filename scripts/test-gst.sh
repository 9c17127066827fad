#!/usr/bin/env bash
# Tests the tracer plugin, and the probe with the plugin that was built.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR=$target/gst
(cd ingest/gst && cargo fmt --check && cargo clippy --all-targets -- -D warnings && cargo test)
plugin=$(dirname "$(ls "$CARGO_TARGET_DIR"/debug/libgstbl.so)")
export CARGO_TARGET_DIR=$target
BL_GST_PLUGIN_DIR=$plugin cargo test --workspace --test probe -- --ignored
