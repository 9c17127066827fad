// Sessions of the development stand-in, and their rows in the shapes of API.md.
import { STAGES, frame, host, noise, power, slow } from "./signals.mjs";

const PAIRING_WINDOW_MS = 2000;
export const PAIRS = ["ingress,encoded", "ingress,inference_done"];
const BOARDS = [
  { uid: "313132333435363738394142", model: "ORIGINAL", firmware: 6, product_id: 16, port: "/dev/ttyACM0", scale: 1 },
  { uid: "4D4E4F505152535455565758", model: "BENCHLAB 2", firmware: 7, product_id: 17, port: "/dev/ttyACM1", scale: 0.46 },
];

/** A session: everything in it is a function of its start, its seed and its rates. */
export function makeSession({ started, length_s = null, seed, fps = 60, hz = 50, boards = 1, gpu = true, pairs = PAIRS, state = "ended", simulated = true }) {
  const id = new Date(started).toISOString().slice(0, 19).replaceAll(":", "-") + "Z";
  return { id, started, length_s, seed, fps, hz, gpu, pairs, state, simulated, boards: BOARDS.slice(0, boards) };
}

export const endOf = (s, now) => (s.length_s === null ? now : s.started + 1000 * s.length_s);

/** The session as `/api/sessions` shows it. */
export function sessionBody(s, now) {
  const end = endOf(s, now);
  const seconds = (end - s.started) / 1000;
  const rows = { benchlab: Math.floor(seconds * s.hz) * s.boards.length, pipeline: s.pairs.length ? Math.floor(seconds * s.fps * 2.97) : 0, cpu: Math.floor(seconds * 10) * 9, gpu: s.gpu ? Math.floor(seconds * 10) : 0 };
  return {
    id: s.id, node: "standin", state: s.state, started: s.started, ended: s.state === "recording" ? null : end, duration_s: seconds, simulated: s.simulated,
    pairs: s.pairs, sources: [...s.boards.map((_, i) => `sim.benchlab.usb${i || ""}`), "host.cpu", "host.net", ...(s.pairs.length ? ["sim.pipeline"] : [])],
    devices: s.boards.map((b) => b.uid), rows, bytes: Object.values(rows).reduce((a, n) => a + n, 0) * 46, anchor_estimated: false,
  };
}

const round3 = (x) => Math.round(x * 1000) / 1000;

/** Energy between two times (ms after the start), by power at their middle: near enough for a stand-in. */
function energy(s, a, b) {
  const w = power((a + b) / 2000, Math.round(((a + b) / 2000) * s.hz), s.seed).sys_w;
  return (w * (b - a)) / 1000;
}

/** Pairs decided in `from < t <= to`: arrived then, or given up then. */
export function pairs(s, name, from, to) {
  const b = STAGES.indexOf(name.split(",")[1]);
  const out = { pair: name, t: [], lat_ms: [], power_w: [], energy_j: [], frame: [], dropped_t: [], dropped_frame: [], ambiguous_t: [] };
  const lo = from - s.started;
  const hi = to - s.started;
  const first = Math.max(0, Math.floor(((lo - PAIRING_WINDOW_MS - 50) * s.fps) / 1000));
  for (let n = first; n <= (hi * s.fps) / 1000 + 1; n++) {
    const f = frame(n, s.fps, s.seed);
    if (f[b] === null) {
      const given = f[0] + PAIRING_WINDOW_MS;
      if (given > lo && given <= hi) out.dropped_t.push(round3(s.started + f[0])), out.dropped_frame.push(n);
    } else if (f[b] > lo && f[b] <= hi) {
      out.t.push(round3(s.started + f[0]));
      out.lat_ms.push(round3(f[b] - f[0]));
      out.frame.push(n);
      const board = s.boards.length > 0;
      out.power_w.push(board ? power(f[0] / 1000, Math.floor((f[0] * s.hz) / 1000), s.seed).sys_w : null);
      out.energy_j.push(board ? round3(energy(s, f[0], f[b])) : null);
    }
  }
  return out;
}

/** Samples of one board in `from < t <= to`. Every 200 s it is silent for 0.6 s, so that gaps are seen. */
export function powerRows(s, board, from, to) {
  const out = { device: board.uid, t: [], cols: {} };
  const step = 1000 / s.hz;
  for (let k = Math.floor((from - s.started) / step) + 1; k * step <= to - s.started; k++) {
    if (k < 0 || (k * step) % 200_000 > 199_400) continue;
    const row = power((k * step) / 1000, k, s.seed, board.scale);
    out.t.push(round3(s.started + k * step + 0.3 * noise(s.seed, k)));
    for (const name in row) (out.cols[name] ??= []).push(row[name]);
  }
  return out;
}

/** Slow series in `from < t <= to`, a row each `step_ms`. */
export function channels(s, from, to, step_ms = 500) {
  const series = new Map();
  const put = (table, key, source, t, cols, attrs) => {
    const id = `${table}/${key}`;
    if (!series.has(id)) series.set(id, { table, key, source, t: [], cols: Object.fromEntries(Object.keys(cols).map((c) => [c, []])), attrs });
    const one = series.get(id);
    one.t.push(t);
    for (const name in cols) one.cols[name].push(cols[name]);
  };
  for (let k = Math.floor((from - s.started) / step_ms) + 1; k * step_ms <= to - s.started; k++) {
    const seconds = (k * step_ms) / 1000;
    const t = s.started + k * step_ms;
    s.boards.forEach((b, i) => put("benchlab", b.uid, i ? "sim.benchlab.usb1" : "sim.benchlab.usb", t, slow(seconds, s.seed + i), { fan1_enabled: true, fan2_enabled: true, fan3_enabled: true, fan_switch: "auto", rgb_switch: "work" }));
    for (const [table, key, source, cols, attrs] of host(seconds, s.seed, s)) put(table, key, source, t, cols, attrs);
  }
  return { series: [...series.values()] };
}

/** Stage events in `from < t <= to`. */
export function stageEvents(s, from, to) {
  const found = [];
  if (s.pairs.length) {
    for (let n = Math.max(0, Math.floor(((from - s.started - 60) * s.fps) / 1000)); n <= ((to - s.started) * s.fps) / 1000 + 1; n++) {
      frame(n, s.fps, s.seed).forEach((at, stage) => {
        if (at !== null && s.started + at > from && s.started + at <= to) found.push([round3(s.started + at), stage, n]);
      });
    }
  }
  found.sort((a, b) => a[0] - b[0]);
  return { stages: STAGES, t: found.map((e) => e[0]), stage: found.map((e) => e[1]), frame: found.map((e) => e[2]), key_ns: found.map(() => null) };
}

/** Marks, and a flow whose last steps are not reached yet in the first minutes. */
export function marks(s, now) {
  if (!s.pairs.length) return { marks: [], flows: [] };
  const steps = [["capture", 8, 6.1], ["encode", 10, 8.4], ["inference", 10, 12.7], ["overlay", null, 3.3], ["display", 16, 11.9]];
  const out = { marks: [], flows: [{ name: "video call", steps: [] }] };
  steps.forEach(([name, target, latency], i) => {
    const begin = s.started + 20_000 + i * 95_000;
    const end = begin + 80_000;
    const seen = endOf(s, now) >= end;
    if (seen) out.marks.push({ t: begin, name, kind: "begin", attrs: {} }, { t: end, name, kind: "end", attrs: {} });
    out.flows[0].steps.push({ name, begin: seen ? begin : null, end: seen ? end : null, latency_ms: seen ? latency : null, target_ms: target, met: seen && target !== null ? latency <= target : null, energy_j: seen && s.boards.length ? 80 * 240 : null, frames: seen ? 80 * s.fps : null });
  });
  out.marks.push({ t: s.started + 12_000, name: "scene change", kind: "point", attrs: { note: "synthetic" } });
  out.marks.sort((a, b) => a.t - b.t);
  return out;
}

/** `/api/status` while `s` is recorded (null: nothing is). */
export function status(s, now, server) {
  const seconds = s ? (now - s.started) / 1000 : 0;
  const source = (name, kind, rate_hz, tables, more = {}) => ({ name, kind, state: "up", detail: "", rate_hz, rows: Math.floor(seconds * rate_hz), lost: 0, last: now - 40, simulated: name.startsWith("sim."), tables, ...more });
  const sources = s && [
    ...s.boards.map((b, i) => source(`sim.benchlab.usb${i || ""}`, "benchlab", s.hz - 0.1, ["benchlab"], i ? {} : { lost: 3 * Math.floor(seconds / 200) })),
    source("host.cpu", "host", 10, ["cpu"]), source("host.net", "host", 10, ["net"]), source("host.disk", "host", 10, ["disk"]),
    source("gpu.nvml", "gpu", 0, ["gpu"], { state: "waiting", detail: "libnvidia-ml.so.1 not found; next try in 10 s", last: null }),
    source("sim.pipeline", "pipeline", s.fps * 2.98, ["pipeline"]),
  ];
  return {
    version: "0.1.0-standin", node: "standin", now, started: server.started, session: s && sessionBody(s, now), sources: sources ?? [],
    store: { state: "ok", detail: "", data_root: "/var/lib/benchlab", sessions: server.sessions, sealed_bytes: 48_318_022, open_bytes: 1_203_200, rows_per_s: s ? 268 : 0, bytes_per_s: s ? 21_400 : 0, free_bytes: 81_604_378_624, lag_ms: 118 },
    alignment: (s?.pairs ?? []).map((pair, i) => ({ pair, state: "up", paired: Math.floor(seconds * s.fps * (i ? 0.987 : 0.992)), dropped: Math.floor(seconds * s.fps * (i ? 0.013 : 0.008)), open: 1 + i, rate_hz: s.fps * (i ? 0.987 : 0.992), delay_ms: 14 + 6 * i, sensor_lag_ms: i ? null : 18.5, lag_confidence: i ? null : 0.93 })),
    exporters: [
      { name: "web", kind: "web", state: "up", detail: "", address: "127.0.0.1:3010", clients: server.clients, rate_per_s: 34, last: now },
      { name: "prometheus", kind: "prometheus", state: "idle", detail: "not scraped yet", address: "127.0.0.1:9109", clients: null, rate_per_s: 0, last: null },
      { name: "capframex", kind: "capframex", state: "off", detail: "[cx_export] enabled = false", address: null, clients: null, rate_per_s: null, last: null },
    ],
    devices: (s?.boards ?? []).map((b, i) => device(s, b, i, seconds, now)),
    health: s ? [{ t: s.started + 400, source: "gpu.nvml", reason: "unsupported", count: 1, detail: "no NVIDIA driver on this host" }, ...Array.from({ length: Math.min(20, Math.floor(seconds / 200)) }, (_, k) => ({ t: s.started + (k + 1) * 200_000, source: "sim.benchlab.usb", reason: "late", count: 3, detail: "the board did not answer for 600 ms" }))] : [],
  };
}

/** Who a board is. */
export function boardBody(b, i) {
  return { uid: b.uid, model: b.model, name: i ? "Bench B" : "Bench A", vendor_id: 238, product_id: b.product_id, firmware: b.firmware, port: b.port, calibration_valid: i === 0 ? true : null };
}

function device(s, b, i, seconds, now) {
  const mean = power(seconds / 2, 0, s.seed, b.scale);
  const joules = (w) => round3(w * seconds);
  return {
    ...boardBody(b, i), source: `sim.benchlab.usb${i || ""}`, node: "standin", state: "up",
    rate_hz: s.hz - 0.1, target_hz: s.hz, samples: Math.floor(seconds * s.hz), rtt_ns: 2_050_000, rtt_min_ns: 1_902_000, rtt_p99_ns: 7_900_000, ts_err_ns: 1_025_000,
    gaps: { count: Math.floor(seconds / 200), lost: 3 * Math.floor(seconds / 200), longest_ms: 612, last: seconds > 200 ? now - (seconds % 200) * 1000 : null },
    energy: { since: s.started, sys_j: joules(mean.sys_w), cpu_j: joules(mean.cpu_w), gpu_j: joules(mean.gpu_w), mb_j: joules(mean.mb_w), peak_w: 402.6 * b.scale, peak_t: s.started + seconds * 400 },
  };
}
