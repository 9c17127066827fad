// Thinning and summaries of past sessions, for the development stand-in.
import { PAIRS, channels, endOf, marks, pairs, powerRows, sessionBody } from "./world.mjs";

/** Indices of the rows that hold a column's minimum or maximum in one of `points` equal buckets. */
export function extremes(t, columns, from, to, points) {
  const keep = new Set();
  const width = (to - from) / points;
  let i = 0;
  while (i < t.length) {
    const bucket = Math.floor((t[i] - from) / width);
    const best = columns.map(() => [-1, -1]);
    for (; i < t.length && Math.floor((t[i] - from) / width) === bucket; i++) {
      columns.forEach((col, c) => {
        if (col[i] === null) return;
        if (best[c][0] < 0 || col[i] < col[best[c][0]]) best[c][0] = i;
        if (best[c][1] < 0 || col[i] > col[best[c][1]]) best[c][1] = i;
      });
    }
    for (const [lo, hi] of best) if (lo >= 0) keep.add(lo).add(hi);
  }
  return [...keep].sort((a, b) => a - b);
}

/** Mean of each column in each bucket that has rows. */
function bucketMeans(t, columns, from, to, points) {
  const width = (to - from) / points;
  const out = { t: [], cols: Object.fromEntries(Object.keys(columns).map((c) => [c, []])) };
  for (let i = 0; i < t.length; ) {
    const bucket = Math.floor((t[i] - from) / width);
    const first = i;
    while (i < t.length && Math.floor((t[i] - from) / width) === bucket) i++;
    out.t.push(from + (bucket + 0.5) * width);
    for (const c in columns) out.cols[c].push(mean(columns[c].slice(first, i).filter((v) => v !== null)));
  }
  return out;
}

const pick = (array, rows) => rows.map((i) => array[i]);
const mean = (a) => (a.length ? a.reduce((x, y) => x + y, 0) / a.length : null);

function percentile(sorted, p) {
  if (!sorted.length) return null;
  const rank = p * (sorted.length - 1);
  const k = Math.floor(rank);
  return sorted[k] + (rank - k) * ((sorted[k + 1] ?? sorted[k]) - sorted[k]);
}

function correlation(x, y) {
  const mx = mean(x);
  const my = mean(y);
  let xx = 0, yy = 0, xy = 0;
  x.forEach((v, i) => ((xx += (v - mx) ** 2), (yy += (y[i] - my) ** 2), (xy += (v - mx) * (y[i] - my))));
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : null;
}

/** `from`, `to`, `points` and `pair` of a query, or a complaint. */
export function arguments_(s, query, now) {
  const number = (name, fallback) => (query.has(name) ? Number(query.get(name)) : fallback);
  const a = { from: number("from", s.started), to: number("to", endOf(s, now)), points: number("points", 2000), pair: query.get("pair") ?? s.pairs[0] ?? null };
  if (!Number.isFinite(a.from) || !Number.isFinite(a.to) || a.from >= a.to) return "from and to must be times in milliseconds with from < to";
  if (!Number.isInteger(a.points) || a.points < 2 || a.points > 20000) return "points must be a whole number from 2 to 20000";
  if (a.pair !== null && !PAIRS.includes(a.pair)) return `no pair '${a.pair}' in this session`;
  a.from = Math.max(a.from, s.started);
  a.to = Math.min(a.to, endOf(s, now));
  return a;
}

export function latency(s, { pair, from, to, points }) {
  const all = pair ? pairs(s, pair, from, to) : { pair: "", t: [], lat_ms: [], power_w: [], energy_j: [], frame: [], dropped_t: [], dropped_frame: [], ambiguous_t: [] };
  const exact = all.t.length <= 2 * points;
  const rows = exact ? all.t.map((_, i) => i) : extremes(all.t, [all.lat_ms, all.power_w], from, to, points);
  const every = Math.ceil(all.dropped_t.length / points) || 1;
  const drops = all.dropped_t.map((_, i) => i).filter((i) => i % every === 0);
  const { pair: name, dropped_t, dropped_frame, ambiguous_t, ...cols } = all;
  return { pair: name, ...Object.fromEntries(Object.entries(cols).map(([k, v]) => [k, pick(v, rows)])), dropped_t: pick(dropped_t, drops), dropped_frame: pick(dropped_frame, drops), ambiguous_t, total: all.t.length, exact, ...(exact ? {} : { means: bucketMeans(all.t, { lat_ms: all.lat_ms, power_w: all.power_w }, from, to, points) }) };
}

export function rails(s, board, { from, to, points }) {
  if (!board) return { device: "", t: [], cols: {}, total: 0, exact: true };
  const all = powerRows(s, board, from, to);
  const exact = all.t.length <= 2 * points;
  const rows = exact ? all.t.map((_, i) => i) : extremes(all.t, Object.values(all.cols), from, to, points);
  return { device: board.uid, t: pick(all.t, rows), cols: Object.fromEntries(Object.entries(all.cols).map(([k, v]) => [k, pick(v, rows)])), total: all.t.length, exact, ...(exact ? {} : { means: bucketMeans(all.t, all.cols, from, to, points) }) };
}

export function summary(s, board, { pair, from, to }, now) {
  const p = pair ? pairs(s, pair, from, to) : { lat_ms: [], power_w: [], energy_j: [], dropped_t: [] };
  const sorted = [...p.lat_ms].sort((a, b) => a - b);
  const w = board ? powerRows(s, board, from, to) : { t: [], cols: {} };
  const seconds = (to - from) / 1000;
  const col = (c) => w.cols[c] ?? [];
  const of = (c) => mean(col(c));
  const joules = (c) => (w.t.length ? of(c) * seconds : null);
  const energies = p.energy_j.filter((e) => e !== null);
  const known = p.lat_ms.filter((_, i) => p.power_w[i] !== null);
  const powers = p.power_w.filter((v) => v !== null);
  const top = col("sys_w").reduce((best, v, i, a) => (v > a[best] ? i : best), 0);
  return {
    session: sessionBody(s, now), pair, from, to,
    latency: { count: sorted.length, dropped: p.dropped_t.length, ambiguous: 0, min_ms: sorted[0] ?? null, mean_ms: mean(sorted), max_ms: sorted.at(-1) ?? null, p50_ms: percentile(sorted, 0.5), p95_ms: percentile(sorted, 0.95), p99_ms: percentile(sorted, 0.99), p999_ms: percentile(sorted, 0.999) },
    power: { samples: w.t.length, min_w: w.t.length ? col("sys_w").reduce((a, b) => Math.min(a, b)) : null, mean_w: of("sys_w"), max_w: w.t.length ? col("sys_w")[top] : null, max_t: w.t[top] ?? null, cpu_w: of("cpu_w"), gpu_w: of("gpu_w"), mb_w: of("mb_w"), energy_j: joules("sys_w"), cpu_j: joules("cpu_w"), gpu_j: joules("gpu_w"), mb_j: joules("mb_w"), rails: Object.fromEntries(Object.keys(w.cols).filter((c) => !/^(sys|cpu|gpu|mb)_w$/.test(c)).map((c) => [c.slice(0, -2), { mean_w: of(c), max_w: col(c).reduce((a, b) => Math.max(a, b)), energy_j: joules(c) }])) },
    efficiency: { j_per_frame: mean(energies), frames_per_j: energies.length ? 1 / mean(energies) : null, ms_per_w: powers.length ? mean(known) / mean(powers) : null, corr: powers.length > 1 ? correlation(known, powers) : null },
    histogram: bins(sorted),
    gaps: { count: s.boards.length ? Math.floor(seconds / 200) : 0, lost: s.boards.length ? 3 * Math.floor(seconds / 200) : 0, longest_ms: s.boards.length && seconds > 200 ? 612 : null },
  };
}

function bins(sorted) {
  if (!sorted.length) return { edges_ms: [], count: [] };
  const width = 0.5;
  const n = Math.min(60, Math.floor(sorted.at(-1) / width) + 1);
  const count = new Array(n).fill(0);
  for (const v of sorted) count[Math.min(n - 1, Math.floor(v / width))]++;
  return { edges_ms: Array.from({ length: n + 1 }, (_, i) => i * width), count };
}

export function timeline(s, { pair, from, to, points }) {
  const bin_s = Math.max(1, Math.ceil((to - from) / 1000 / points));
  const out = { bin_s, t: [], frames: [], dropped: [], lat_min_ms: [], lat_mean_ms: [], lat_max_ms: [], lat_p95_ms: [], lat_p99_ms: [], power_min_w: [], power_mean_w: [], power_max_w: [], energy_j: [] };
  const least = (a) => (a.length ? a.reduce((x, y) => Math.min(x, y)) : null);
  const most = (a) => (a.length ? a.reduce((x, y) => Math.max(x, y)) : null);
  for (let t = from; t < to; t += 1000 * bin_s) {
    const p = pair ? pairs(s, pair, t, t + 1000 * bin_s) : { lat_ms: [], dropped_t: [] };
    const w = s.boards.length ? powerRows(s, s.boards[0], t, t + 1000 * bin_s).cols.sys_w ?? [] : [];
    const row = { t, frames: p.lat_ms.length, dropped: p.dropped_t.length, lat_min_ms: least(p.lat_ms), lat_mean_ms: mean(p.lat_ms), lat_max_ms: most(p.lat_ms), lat_p95_ms: percentile([...p.lat_ms].sort((a, b) => a - b), 0.95), lat_p99_ms: percentile([...p.lat_ms].sort((a, b) => a - b), 0.99), power_min_w: least(w), power_mean_w: mean(w), power_max_w: most(w), energy_j: w.length ? mean(w) * bin_s : null };
    for (const k in row) out[k].push(row[k]);
  }
  return out;
}

export function slowRows(s, { from, to, points }, tables) {
  const step = Math.max(500, Math.ceil((to - from) / points / 500) * 500);
  const { series } = channels(s, from, to, step);
  return { series: tables ? series.filter((x) => tables.includes(x.table)) : series };
}

export { marks };
