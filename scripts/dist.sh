#!/usr/bin/env bash
# Puts what is handed out into one folder: bl, and in `gstreamer` beside it the tracer, where `bl probe` looks for it.
# dist.sh [FOLDER]; without the -dev packages of GStreamer (scripts/setup.sh gst) the tracer is left out, and said so.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
folder=${1:-$target/handout}
cargo build --profile dist -p bl
rm -rf "$folder"/{bl,deploy,gstreamer}
install -D "$target/dist/bl" "$folder/bl"
install -m 644 LICENSE README.md "$folder"
cp -r deploy "$folder/deploy"
if pkg-config --exists gstreamer-1.0 2>/dev/null; then
    scripts/gst-plugin.sh
    install -D -s -m 644 "$target/gstreamer/libgstbl.so" "$folder/gstreamer/libgstbl.so"
else
    echo "== without the GStreamer tracer: libgstreamer1.0-dev is not installed (scripts/setup.sh gst)" >&2
fi
echo "== $folder:" >&2
(cd "$folder" && find . -maxdepth 2 -type f -exec ls -l {} +) >&2
