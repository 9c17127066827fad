#!/usr/bin/env bash
# Builds bl, records 20 s from a virtual board, this host and a GStreamer pipeline (simulated stages where there is no
# GStreamer), and shows what can be done with it.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
# BL_DEMO_BINARY names a bl that is built already; its tracer is beside it, or where BL_GST_PLUGIN_DIR says.
binary=${BL_DEMO_BINARY:-$target/release/bl}
if [ -z "${BL_DEMO_BINARY:-}" ]; then
    scripts/setup.sh build
    echo "== building (the first time this compiles DataFusion and takes a while)"
    cargo build --release -p bl
fi
has_gstreamer() {
    pkg-config --exists gstreamer-1.0 2>/dev/null && gst-inspect-1.0 --exists x264enc 2>/dev/null
}
if has_gstreamer && [ -z "${BL_DEMO_BINARY:-}" ]; then
    echo "== building the GStreamer tracer"
    scripts/gst-plugin.sh
elif ! has_gstreamer; then
    echo "== no GStreamer here (scripts/setup.sh gst installs it): the stages are simulated"
fi
bl() { "$binary" "$@"; }
demo=$(mktemp -d "${TMPDIR:-/tmp}/bl-demo.XXXXXX")
export BENCHLAB_DATA_ROOT=$demo
show() {
    local word
    printf '\n$ bl'
    for word in "$@"; do
        case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    printf '\n'
    bl "$@"
}

duration=${BL_DEMO_DURATION:-20s}
if has_gstreamer; then
    show probe --simulate --session demo --events "$demo/bl.sock" --stages ingress=src.src+encoded=enc.src --pipeline \
        "videotestsrc name=src is-live=true num-buffers=$((${duration%s} * 30)) ! video/x-raw,width=640,height=360,framerate=30/1 ! x264enc name=enc tune=zerolatency ! fakesink"
else
    show ingest --simulate --session demo --duration "$duration" --events "$demo/bl.sock"
fi
show query --format table "SELECT count(*) AS samples, round(avg(sys_w), 1) AS mean_w, round(max(sys_w), 1) AS max_w FROM benchlab"
show query --format table "SELECT stage, count(*) AS events FROM pipeline GROUP BY stage ORDER BY events DESC"
show query --format table "SELECT count(*) AS frames, count(*) FILTER (WHERE dropped) AS dropped, round(avg(latency_ms), 3) AS mean_ms, round(avg(energy_j), 4) AS joules_a_frame FROM latency"
show export cx --session demo --stage-a ingress --stage-b encoded --application demo --format csv -o "$demo/demo.csv"
head -n 3 "$demo/demo.csv"
cat <<EOF

The recording is in $demo (remove it when you like). Next:
  export BENCHLAB_DATA_ROOT=$demo
  $binary query                 # a prompt
  $binary sessions demo
  $binary ingest                # with your own board, if it is plugged in
EOF
