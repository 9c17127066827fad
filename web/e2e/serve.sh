#!/bin/sh
# Runs the browser tests against the real `bl serve`, over a live recording of the virtual board and two that have ended:
#   web/e2e/serve.sh [test files, default all; or another program of this folder]     BL=path of the program, default `bl`
set -eu
cd "$(dirname "$0")/.."
bl=${BL:-bl}
folder=$(mktemp -d)
recorder= server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$recorder" ] || kill "$recorder" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap finish EXIT INT TERM

export BENCHLAB_CONFIG="$folder/config.toml"
printf '[general]\ndata_root = "%s/data"\nruntime_dir = "%s"\n' "$folder" "$folder" >"$BENCHLAB_CONFIG"
for session in before again; do
    "$bl" ingest --simulate --session "$session" --duration 4s 2>"$folder/$session.log"
done
"$bl" ingest --simulate --session live 2>"$folder/ingest.log" &
recorder=$!
"$bl" serve --web-bind 127.0.0.1:0 --prom-bind 127.0.0.1:0 --allow-query 2>"$folder/serve.log" &
server=$!
url=
for _ in $(seq 100); do
    url=$(sed -n 's/^the page is at \(http:[^ ]*[0-9]\)\/.*$/\1/p' "$folder/serve.log")
    [ -z "$url" ] || break
    sleep 0.1
done
[ -n "$url" ] || { cat "$folder/serve.log" >&2; exit 1; }
# The first drops are known when the pairing window has passed.
sleep 6
[ $# -gt 0 ] || set -- e2e/*.e2e.mjs
BL="$bl" BASE_URL="$url" node --test --test-concurrency=1 "$@"
