#!/usr/bin/env bash
# Builds bl, records 20 s from a virtual board, this host and simulated stages, and shows what can be done with it.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
echo "== building (the first time this compiles DataFusion and takes a while)"
cargo build --release -p bl
target=${CARGO_TARGET_DIR:-$PWD/target}
bl() { "$target/release/bl" "$@"; }
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

show ingest --simulate --session demo --duration "${BL_DEMO_DURATION:-20s}" --events "$demo/bl.sock"
show query --format table "SELECT count(*) AS samples, round(avg(sys_w), 1) AS mean_w, round(max(sys_w), 1) AS max_w FROM benchlab"
show query --format table "SELECT stage, count(*) AS events FROM pipeline GROUP BY stage ORDER BY events DESC"
show query --format table "SELECT count(*) AS frames, count(*) FILTER (WHERE dropped) AS dropped, round(avg(latency_ms), 3) AS mean_ms, round(avg(energy_j), 4) AS joules_a_frame FROM latency"
show export cx --session demo --stage-a ingress --stage-b encoded --application demo --format csv -o "$demo/demo.csv"
head -n 3 "$demo/demo.csv"
cat <<EOF

The recording is in $demo (remove it when you like). Next:
  export BENCHLAB_DATA_ROOT=$demo
  $target/release/bl query                 # a prompt
  $target/release/bl sessions demo
  $target/release/bl ingest                # with your own board, if it is plugged in
EOF
