#!/usr/bin/env bash
# Records at full rate for a time (30s, 5m, 24h) with readers, seals and full disks, and checks itself: memory and descriptors
# stay flat, and nothing is lost that `health` does not tell.
#
#     BL=target/release/bl scripts/soak.sh 1h
#
# As root the store lies on a small tmpfs of its own, which is filled again and again; without root no disk is filled, and it says
# so. The last line is its verdict; the exit code is 1 if anything was wrong.
set -euo pipefail
bl=$(realpath "${BL:?path of the bl to be soaked}")
case ${1:?how long, such as 30s, 5m or 24h} in
    *h) seconds=$((${1%h} * 3600)) ;;
    *m) seconds=$((${1%m} * 60)) ;;
    *) seconds=${1%s} ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/bl-soak.XXXXXX")
data=$work/data
mkdir "$data"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o "size=${SOAK_MIB:-512}m" bl-soak "$data"; then fills=1; else
    fills=0
    echo "skipped: no disk is filled, as that takes root and a tmpfs"
fi
export BENCHLAB_DATA_ROOT=$data
children=()
finish() {
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ $fills = 1 ]; then umount -l "$data" || true; fi
    rm -rf "$work"
}
trap finish EXIT

cat >"$work/config.toml" <<TOML
[store]
seal_seconds = 5
TOML
"$bl" device emulate --link "$work/board" >/dev/null 2>&1 &
children+=($!)
sleep 1
"$bl" ingest --config "$work/config.toml" --session soak --device "$work/board" --benchlab-hz 100 --hz 50 \
    --events "$work/bl.sock" 2>"$work/ingest.log" &
ingest=$!
children+=($ingest)
for _ in $(seq 100); do [ -S "$work/bl.sock" ] && break; sleep 0.1; done

# Events by their numbers, some two thousand a second; the last line says how many were sent.
cat >"$work/send.py" <<'PY'
import json, os, socket, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
end, sent = time.monotonic() + seconds, 0
s = socket.socket(socket.AF_UNIX)
s.connect(path)
while time.monotonic() < end:
    for _ in range(100):
        line = {"stage": "soak", "frame": sent, "seq": sent, "ts_ns": time.monotonic_ns()}
        s.sendall(json.dumps(line).encode() + b"\n")
        sent += 1
    time.sleep(0.05)
print(sent)
PY
python3 "$work/send.py" "$work/bl.sock" "$seconds" >"$work/sent" &
sender=$!

resident_kib() { awk '/^VmRSS/ {print $2}' "/proc/$ingest/status"; }
descriptors() { find "/proc/$ingest/fd" -mindepth 1 | wc -l; }
ask() { "$bl" query --format csv "$1" 2>>"$work/query.log" | tail -1; }

begin=$SECONDS
round=0
: >"$work/samples"
while kill -0 $sender 2>/dev/null; do
    round=$((round + 1))
    kill -0 $ingest || { echo "FAILED: the recorder has died"; cat "$work/ingest.log"; exit 1; }
    echo "$((SECONDS - begin)) $(resident_kib) $(descriptors)" >>"$work/samples"
    ask "SELECT count(*) FROM pipeline" >/dev/null || echo "a query failed" >>"$work/failures"
    if [ $fills = 1 ] && [ $((round % 5)) = 3 ]; then
        dd if=/dev/zero of="$data/filler" bs=1M 2>/dev/null || true
        sleep 4
        rm -f "$data/filler"
    fi
    sleep 2
done
wait $sender
sleep 2
kill -TERM $ingest
code=0
wait $ingest || code=$?

sent=$(cat "$work/sent")
stored=$(ask "SELECT count(DISTINCT frame) FROM pipeline WHERE stage = 'soak'")
rows=$(ask "SELECT count(*) FROM pipeline WHERE stage = 'soak'")
told=$(ask "SELECT coalesce(sum(count), 0) FROM health WHERE source = 'events.socket' AND reason IN ('store_full', 'malformed', 'sender_dropped')")
echo "$round rounds in $((SECONDS - begin)) s; sent $sent, stored $stored, told as lost $told"
ask "SELECT string_agg(reason || ' ' || n, ', ') FROM (SELECT reason, CAST(sum(count) AS VARCHAR) AS n FROM health GROUP BY reason)" || true
failed=0
fail() { echo "FAILED: $*"; failed=1; }
[ $code = 0 ] || fail "the recorder ended with $code: $(tail -3 "$work/ingest.log")"
[ "$rows" = "$stored" ] || fail "$((rows - stored)) rows are there twice"
[ $((stored + told)) = "$sent" ] || fail "$((sent - stored - told)) events are lost and nobody tells"
[ ! -s "$work/failures" ] || fail "$(wc -l <"$work/failures") queries failed: $(tail -1 "$work/query.log")"
left=$(find "$data/sessions" -name '*.wal' -o -name '*.damaged' -o -name '.*.tmp' | wc -l)
[ "$left" = 0 ] || fail "$left segments or unfinished files are left"
# The first quarter may fill caches; from then on it is to stay where it is.
awk '{t[NR] = $2; d[NR] = $3}
    END {
        for (i = 1; i <= NR; i++) {
            if (i <= NR / 2) { if (t[i] > m) m = t[i]; if (d[i] > f) f = d[i] }
            else { if (t[i] > M) M = t[i]; if (d[i] > F) F = d[i] }
        }
        printf "memory %.0f, then %.0f MiB at most; descriptors %d, then %d\n", m / 1024, M / 1024, f, F
        exit !(NR < 8 || (M <= m * 1.25 + 8192 && F <= f + 8))
    }' "$work/samples" || fail "memory or descriptors grow"
if "$bl" verify --help >/dev/null 2>&1; then "$bl" verify soak || fail "bl verify"; else echo "skipped: this bl cannot verify"; fi
[ $failed = 0 ] && echo "whole"
exit $failed
