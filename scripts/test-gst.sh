#!/usr/bin/env bash
# Tests the tracer plugin, and `bl probe` with the plugin that was built.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
(
    cd ingest/gst
    export CARGO_TARGET_DIR=$target/gst
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test
    # The tests leave it among the dependencies; this only puts it in its place.
    cargo build
)
# A folder of its own, as GStreamer looks through all that it is given.
install -D "$target/gst/debug/libgstbl.so" "$target/gst/plugin/libgstbl.so"
export CARGO_TARGET_DIR=$target
BL_GST_PLUGIN_DIR=$target/gst/plugin cargo test --workspace --test probe -- --ignored
