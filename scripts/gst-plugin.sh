#!/usr/bin/env bash
# Builds the tracer plugin and puts it where the `bl` of this folder looks for it.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
(cd ingest/gst && CARGO_TARGET_DIR=$target/gst cargo build --release)
# A folder of its own, as GStreamer looks through all that it is given.
install -D "$target/gst/release/libgstbl.so" "$target/gstreamer/libgstbl.so"
