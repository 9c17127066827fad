#!/usr/bin/env bash
# Measures the figures of the README on this machine. Takes some three minutes after the build.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
cargo build --release -p bl
cargo build --release -p bl-ingest --example events_sender
target=${CARGO_TARGET_DIR:-$PWD/target}
bl=$target/release/bl
work=$(mktemp -d "${TMPDIR:-/tmp}/bl-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
export BENCHLAB_DATA_ROOT=$work/data
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
rss() { awk '/VmHWM/ {print $2 / 1024}' "/proc/$1/status"; }

echo "host: $(nproc) cores, $(uname -sr), $(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo); $("$bl" --version), $(rustc --version)"
echo "load average: $(cut -d' ' -f1-3 /proc/loadavg)"

# The recorder at its default rates, with a virtual board in another process.
"$bl" device emulate --link "$work/board" >/dev/null & board=$!
sleep 1
"$bl" ingest --session idle --device "$work/board" --events "$work/bl.sock" 2>/dev/null & ingest=$!
sleep 3
before=$(ticks $ingest); sleep 30; after=$(ticks $ingest)
awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "recorder at default rates: %.2f %% of one core", 100 * t / hz / 30}'
printf ', %.1f MiB peak resident\n' "$(rss $ingest)"
kill -TERM $ingest; wait $ingest || true

# Stage events from another process.
"$bl" ingest --session events --no-host --device "$work/none" --events "$work/bl.sock" 2>/dev/null & ingest=$!
sleep 1
"$target/release/examples/events_sender" "$work/bl.sock" 5000000
sleep 1
kill -TERM $ingest; wait $ingest || true
"$bl" query --session events --format csv "SELECT count(*) FROM pipeline" | tail -1 | sed 's/^/stage events stored: /'
"$bl" query --session events --format csv "SELECT coalesce(sum(count), 0) FROM health WHERE reason IN ('store_full', 'sender_dropped', 'malformed')" | tail -1 | sed 's/^/stage events lost: /'
kill $board; wait $board || true

# Bytes a row of table benchlab: a minute of the virtual board in one file.
"$bl" ingest --simulate --no-host --session size --duration 60s --events "$work/bl.sock" 2>/dev/null
rows=$("$bl" query --session size --format csv "SELECT count(*) FROM benchlab" | tail -1)
bytes=$(find "$BENCHLAB_DATA_ROOT/sessions/size/raw/benchlab" -name '*.parquet' -printf '%s\n' | awk '{s += $1} END {print s}')
awk -v b="$bytes" -v r="$rows" 'BEGIN {printf "table benchlab on disk: %.1f bytes a row (%d rows); the JSON line of the older tool, 2214 bytes, is %.0f times that\n", b / r, r, 2214 / (b / r)}'

# Start of a query.
for q in "SELECT count(*) FROM benchlab" "SELECT approx_percentile_cont(sys_w, 0.99) FROM benchlab"; do
    best=
    for _ in 1 2 3 4 5; do
        t0=$(date +%s%N); "$bl" query --session size --format csv "$q" >/dev/null; t1=$(date +%s%N)
        ms=$(((t1 - t0) / 1000000)); if [ -z "$best" ] || [ "$ms" -lt "$best" ]; then best=$ms; fi
    done
    echo "bl query \"$q\" over a minute: $best ms"
done
