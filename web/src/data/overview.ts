import type { Ring } from "./ring.ts";
import type { Scope } from "./scope.ts";
import { correlation, figures, histogram, readings, total, type Figures, type Histogram } from "./stats.ts";
import { TrendMaker, tail, trendOf, type Trend } from "./trend.ts";
import type { Summary } from "./wire.ts";

/** A reading that is older than this is not current any more. */
const STALE_MS = 3_000;

/** What the overview says in numbers; NaN where there is nothing. */
export interface Overview {
  latency: Figures;
  current_ms: number;
  current_w: number;
  mean_w: number;
  dropped: number;
  /** Frames of which nobody can tell what became of them. */
  ambiguous: number;
  j_per_frame: number;
  ms_per_w: number;
  corr: number;
  histogram: Histogram;
  trend: Trend;
}

/** Makes the overview's numbers: of a past session the server's exact ones, of a live one those of the stretch in view. */
export class OverviewMaker {
  private readonly trends = new TrendMaker();

  make(scope: Scope): Overview {
    const { from, to } = scope.range();
    const rows = scope.track()?.rows;
    const power = scope.powerRing();
    const current = { current_ms: newest(rows, "lat_ms", from, to), current_w: newest(power, "sys_w", from, to) };
    if (!scope.live) return { ...ofSummary(scope.summary.value), ...current, trend: { ...trendOf(scope.timeline.value), current: tail(rows, to) } };
    const latencies = readings(rows, "lat_ms", from, to);
    const bins = histogram(latencies);
    const [drops, unsure] = [scope.track()?.drops, scope.track()?.unsure];
    return {
      ...current,
      ...perFrame(rows, from, to),
      latency: figures(latencies),
      mean_w: mean(power, "sys_w", from, to),
      dropped: drops ? drops.lower(to) - drops.lower(from) : 0,
      ambiguous: unsure ? unsure.lower(to) - unsure.lower(from) : 0,
      corr: correlation(rows, "power_w", "lat_ms", from, to),
      histogram: bins,
      trend: this.trends.make(scope.track(), power, from, to),
    };
  }
}

/** The newest reading of a stretch, NaN when the stretch ends long after it. */
export function newest(ring: Ring | undefined, column: string, from: number, to: number): number {
  const v = ring?.cols.get(column);
  if (!ring || !v) return NaN;
  const i = ring.lower(to) - 1;
  const stale = Math.max(STALE_MS, 5 * (ring.length > 1 ? ring.spacing_ms : 0));
  return i >= ring.start && ring.t[i] >= Math.max(from, to - stale) ? v[i] : NaN;
}

export function mean(ring: Ring | undefined, column: string, from: number, to: number): number {
  const { sum, count } = total(ring, column, from, to);
  return count ? sum / count : NaN;
}

/** Energy of a frame between its stages, and mean latency over mean power of the pairs that have both. */
export function perFrame(rows: Ring | undefined, from: number, to: number): { j_per_frame: number; ms_per_w: number } {
  const l = rows?.cols.get("lat_ms");
  const w = rows?.cols.get("power_w");
  let [ms, watts] = [0, 0];
  if (rows && l && w) {
    const end = rows.lower(to);
    for (let i = rows.lower(from); i < end; i++) {
      if (w[i] !== w[i] || l[i] !== l[i]) continue;
      ms += l[i];
      watts += w[i];
    }
  }
  return { j_per_frame: mean(rows, "energy_j", from, to), ms_per_w: watts > 0 ? ms / watts : NaN };
}

function ofSummary(s: Summary | null): Omit<Overview, "current_ms" | "current_w" | "trend"> {
  const n = (v: number | null | undefined): number => v ?? NaN;
  const l = s?.latency;
  return {
    latency: { count: l?.count ?? 0, mean: n(l?.mean_ms), min: n(l?.min_ms), max: n(l?.max_ms), p50: n(l?.p50_ms), p95: n(l?.p95_ms), p99: n(l?.p99_ms) },
    mean_w: n(s?.power.mean_w),
    dropped: l?.dropped ?? 0,
    ambiguous: l?.ambiguous ?? 0,
    j_per_frame: n(s?.efficiency.j_per_frame),
    ms_per_w: n(s?.efficiency.ms_per_w),
    corr: n(s?.efficiency.corr),
    histogram: { edges: s?.histogram.edges_ms ?? [], count: s?.histogram.count ?? [], total: l?.count ?? 0 },
  };
}
