#!/bin/sh
# What the tracer costs at full speed: runs a pipeline with and without it in turns, and prints the median
# of the ratios of neighbouring runs, of the time by the clock and of the CPU time (user + system); and the ratio of
# the best runs, which a busy machine disturbs least. The intervals hold the median with 95 % confidence.
#
#   bench/overhead.sh [PAIRS]          default 15; needs gst-launch-1.0, x264enc and python3
#   PLUGIN=/path/to/libgstbl.so        default: the release build of this crate, built if need be
#   LINE='videotestsrc ! ...'          another pipeline; its stages are the ends (no `stages=`)
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if [ -z "${PLUGIN:-}" ]; then
    cargo build --release --quiet --manifest-path "$here/Cargo.toml"
    PLUGIN=${CARGO_TARGET_DIR:-$here/target}/release/libgstbl.so
fi
: "${LINE:=videotestsrc num-buffers=1500 pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 ! x264enc tune=zerolatency speed-preset=veryfast ! fakesink sync=false}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/plugin"
cp "$PLUGIN" "$work/plugin/libgstbl.so"
python3 - "$work" "$LINE" "${1:-15}" <<'PY'
import json, os, random, resource, socket, statistics, subprocess, sys, threading, time

work, line, pairs = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = os.path.join(work, "events.sock")
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen(8)
received = [0]

def receive():
    # Reads and counts, no more: what the receiver costs is not the question here.
    while True:
        connection, _ = listener.accept()
        while block := connection.recv(1 << 20):
            received[0] += block.count(b"\n")

threading.Thread(target=receive, daemon=True).start()
base = {k: v for k, v in os.environ.items() if k not in ("GST_TRACERS", "GST_DEBUG")}
base |= {"GST_PLUGIN_PATH": os.path.join(work, "plugin"), "GST_REGISTRY": os.path.join(work, "registry")}
reports = os.path.join(work, "reports")
os.mkdir(reports)
traced = base | {"GST_TRACERS": f"bl(socket={path},report={reports})"}

def run(environment):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(["gst-launch-1.0", "-q", *line.split()], env=environment, check=True)
    took, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

run(base)  # fills the registry and the page cache
run(traced)
assert received[0] > 1, "no event came: is the plugin all right? GST_PLUGIN_PATH=... gst-inspect-1.0 bl"
runs, plain_s = [], []
for turn in range(pairs):
    # The order alternates, so that a machine that grows slower or faster favours neither.
    if turn % 2:
        without, with_ = run(base), run(traced)
    else:
        with_, without = run(traced), run(base)
    plain_s.append(without[0])
    runs.append((with_, without))
clock, cpu = ([with_[i] / without[i] for with_, without in runs] for i in (0, 1))
extra_cpu_s = [with_[1] - without[1] for with_, without in runs]
best = [min(with_[i] for with_, _ in runs) / min(without[i] for _, without in runs) for i in (0, 1)]
quartiles = lambda r: [round(q, 4) for q in statistics.quantiles(r, n=4)]

def interval(ratios):
    # 95 % of the median, by bootstrap.
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(4000))
    return [round((medians[i] - 1) * 100, 2) for i in (100, 3899)]

told = [json.load(open(os.path.join(reports, name))) for name in os.listdir(reports)]
events = told[0]["events"]
print(json.dumps({
    "pairs": pairs,
    "events_per_run": events,
    "events_lost": sum(r["events"] - r["sent"] for r in told),
    "cpu_ns_per_event": round(statistics.median(extra_cpu_s) / events * 1e9),
    "plain_run_s": round(statistics.median(plain_s), 3),
    "clock_ratio_quartiles": quartiles(clock),
    "cpu_ratio_quartiles": quartiles(cpu),
    "clock_ratio_of_best": round(best[0], 4),
    "cpu_ratio_of_best": round(best[1], 4),
    "overhead_pct": round((statistics.median(clock) - 1) * 100, 2),
    "overhead_pct_95": interval(clock),
    "overhead_cpu_pct": round((statistics.median(cpu) - 1) * 100, 2),
    "overhead_cpu_pct_95": interval(cpu),
}))
PY
