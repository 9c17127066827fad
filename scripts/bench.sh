#!/usr/bin/env bash
# Measures the figures of docs/figures.md on this machine. Takes some fifteen minutes after the build; wants a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build peers
cargo build --release -p bl -p bl-ingest --bins --example events_sender --example synthesise
target=${CARGO_TARGET_DIR:-$PWD/target}
bl=$target/release/bl
work=$(mktemp -d "${TMPDIR:-/tmp}/bl-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
export BENCHLAB_DATA_ROOT=$work/data
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
peak_mib() { awk '/VmHWM/ {print $2 / 1024}' "/proc/$1/status"; }
say() { printf '\n== %s\n' "$*"; }

# Prints what a running process needs of one core over 30 s, and its peak memory.
watch() {
    local before after
    before=$(ticks "$2"); sleep 30; after=$(ticks "$2")
    awk -v what="$1" -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" -v mib="$(peak_mib "$2")" \
        'BEGIN {printf "%s: %.2f %% of one core, %.1f MiB peak resident\n", what, 100 * t / hz / 30, mib}'
}

# Prints the best of seven runs of a command, in ms.
best_ms() {
    local best= t0 t1 ms
    for _ in 1 2 3 4 5 6 7; do
        t0=$(date +%s%N); "$@" >/dev/null; t1=$(date +%s%N)
        ms=$(((t1 - t0) / 1000000)); if [ -z "$best" ] || [ "$ms" -lt "$best" ]; then best=$ms; fi
    done
    echo "$best ms"
}

echo "host: $(nproc) cores, $(uname -sr), $(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo); $("$bl" --version), $(rustc --version)"
echo "load average: $(cut -d' ' -f1-3 /proc/loadavg)"

say "the recorder, with a virtual board in another process"
"$bl" device emulate --link "$work/board" >/dev/null & board=$!
sleep 1
"$bl" ingest --session idle --device "$work/board" --events "$work/bl.sock" 2>/dev/null & ingest=$!
sleep 3
watch "default rates" $ingest
kill -TERM $ingest; wait $ingest || true
"$bl" ingest --session fast --device "$work/board" --events "$work/bl.sock" --benchlab-hz 100 --hz 100 2>/dev/null & ingest=$!
sleep 3
watch "100 Hz of everything" $ingest
kill -TERM $ingest; wait $ingest || true
kill $board; wait $board || true

say "stage events from another process"
"$bl" ingest --session events --no-host --device "$work/none" --events "$work/bl.sock" 2>/dev/null & ingest=$!
sleep 1
"$target/release/examples/events_sender" "$work/bl.sock" 5000000
sleep 1
kill -TERM $ingest; wait $ingest || true
"$bl" query --session events --format csv "SELECT count(*) FROM pipeline" | tail -1 | sed 's/^/stored: /'
"$bl" query --session events --format csv "SELECT coalesce(sum(count), 0) FROM health WHERE reason IN ('store_full', 'sender_dropped', 'malformed')" | tail -1 | sed 's/^/lost: /'

say "an hour of the virtual board in files of five minutes"
"$target/release/examples/synthesise" "$work/data" 1 60
rows=$("$bl" query --session synth-0 --format csv "SELECT count(*) FROM benchlab" | tail -1)
bytes=$(find "$BENCHLAB_DATA_ROOT/sessions/synth-0/raw/benchlab" -name '*.parquet' -printf '%s\n' | awk '{s += $1} END {print s}')
awk -v b="$bytes" -v r="$rows" 'BEGIN {printf "table benchlab on disk: %.1f bytes a row (%d rows); the JSON line of the older tool, 2214 bytes, is %.1f times that\n", b / r, r, 2214 / (b / r)}'
for q in "SELECT count(*) FROM benchlab" "SELECT approx_percentile_cont(sys_w, 0.99) FROM benchlab" "SELECT percentiles(sys_w, 0.99) FROM benchlab"; do
    echo "bl query \"$q\": $(best_ms "$bl" query --session synth-0 --format csv "$q")"
done

say "serving: a recording of the virtual board, with no client and with one"
"$bl" ingest --simulate --session live --events "$work/bl.sock" 2>/dev/null & ingest=$!
sleep 5
# Starts `bl serve` on a free port; sets serve, url, and prints how long its first answer took.
serve() {
    local t0
    t0=$(date +%s%N)
    BENCHLAB_DATA_ROOT=$1 "$bl" serve --web-bind 127.0.0.1:0 --prom-bind 127.0.0.1:0 2>"$work/serve.log" & serve=$!
    until url=$(sed -n 's|.*the page is at \(http://[^/]*\)/.*|\1|p' "$work/serve.log") && [ -n "$url" ] && curl -sf "$url/healthz" >/dev/null; do
        sleep 0.002
    done
    echo "first answer after $((($(date +%s%N) - t0) / 1000000)) ms"
}
serve "$work/data"
sleep 3
watch "bl serve without a client" $serve
curl -sN "$url/api/stream" >/dev/null & client=$!
watch "bl serve with a client of the stream" $serve
kill $client $serve; wait $client $serve || true
kill -TERM $ingest; wait $ingest || true

say "a week of sessions: 168 of an hour"
"$target/release/examples/synthesise" "$work/week" 168 60
serve "$work/week"
for path in sessions sessions/synth-100/summary sessions/synth-100/timeline sessions/synth-100/latency sessions/synth-100/rails; do
    echo "/api/$path: first $(curl -s -o "$work/answer" -w '%{time_total}' "$url/api/$path") s, $(stat -c %s "$work/answer") bytes; again $(curl -s -o /dev/null -w '%{time_total}' "$url/api/$path") s"
done
grep VmHWM "/proc/$serve/status"
kill $serve; wait $serve || true
rm -rf "$work/week"

say "bl export cx of a session of 5 million frames and 4 million samples"
"$target/release/examples/synthesise" "$work/long" 1 1400
for format in csv json; do
    export_cx() {
        BENCHLAB_DATA_ROOT=$work/long "$bl" export cx --session synth-0 --stage-a ingress --stage-b encoded \
            --application bench --format "$format" -o "$work/frames.$format" 2>/dev/null
    }
    echo "$format: $(best_ms export_cx), $(stat -c %s "$work/frames.$format") bytes"
done

say "beside other engines, at full size and at a hundredth of it"
python=$BL_TEST_VENV/bin/python
for scale in 1 0.01; do
    "$python" benches/compare/generate.py "$work/compare" $scale
    "$python" benches/compare/compare.py "$bl" "$work/compare"
done
