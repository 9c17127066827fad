import type { PairTrack } from "./dataset.ts";
import type { Ring } from "./ring.ts";
import { figures, readings, total, type Figures } from "./stats.ts";
import type { Timeline } from "./wire.ts";

/** Points of a trend. */
const POINTS = 36;
/** Readings of the trend of the current value. */
const LAST_ROWS = 60;
/** A bucket may still get rows (a late pair, a drop) for so long after its end. */
const SETTLED_MS = 4_000;

/** How the figures of the cards went over the stretch in view, oldest first; NaN where there is nothing. */
export interface Trend {
  /** The newest readings one by one, and not a figure of each bucket. */
  current: ArrayLike<number>;
  mean: number[];
  min: number[];
  max: number[];
  p95: number[];
  p99: number[];
  power: number[];
  energy: number[];
  dropped: number[];
}

interface Point {
  latency: Figures;
  power: number;
  energy: number;
  dropped: number;
}

/** The last latencies before `to`. */
export function tail(rows: Ring | undefined, to: number): ArrayLike<number> {
  if (!rows) return [];
  const end = rows.lower(to);
  return rows.cols.get("lat_ms")?.slice(Math.max(rows.start, end - LAST_ROWS), end) ?? [];
}

export function emptyTrend(): Trend {
  return { current: [], mean: [], min: [], max: [], p95: [], p99: [], power: [], energy: [], dropped: [] };
}

/** Computes trends of a live scope; buckets that are over are computed once. */
export class TrendMaker {
  private readonly known = new Map<number, Point>();
  private width = 0;
  private of: PairTrack | undefined;

  make(track: PairTrack | undefined, power: Ring | undefined, from: number, to: number): Trend {
    const width = (to - from) / POINTS;
    if (track !== this.of || Math.abs(width - this.width) > 1e-6 * width) {
      this.known.clear();
      this.of = track;
      this.width = width;
    }
    const first = Math.floor(from / this.width);
    for (const key of this.known.keys()) if (key < first) this.known.delete(key);
    const trend = { ...emptyTrend(), current: tail(track?.rows, to) };
    for (let k = first; k < first + POINTS; k++) {
      const point = this.known.get(k) ?? this.point(k, track, power);
      trend.mean.push(point.latency.mean);
      trend.min.push(point.latency.min);
      trend.max.push(point.latency.max);
      trend.p95.push(point.latency.p95);
      trend.p99.push(point.latency.p99);
      trend.power.push(point.power);
      trend.energy.push(point.energy);
      trend.dropped.push(point.dropped);
    }
    return trend;
  }

  private point(k: number, track: PairTrack | undefined, power: Ring | undefined): Point {
    const [from, to] = [k * this.width, (k + 1) * this.width];
    const watts = total(power, "sys_w", from, to);
    const energy = total(track?.rows, "energy_j", from, to);
    const point: Point = {
      latency: figures(readings(track?.rows, "lat_ms", from, to)),
      power: watts.count ? watts.sum / watts.count : NaN,
      energy: energy.count ? energy.sum / energy.count : NaN,
      dropped: track ? track.drops.lower(to) - track.drops.lower(from) : NaN,
    };
    if (track && to < track.rows.last - SETTLED_MS) this.known.set(k, point);
    return point;
  }
}

/** The trend that the server's timeline shows. */
export function trendOf(timeline: Timeline | null): Trend {
  if (!timeline) return emptyTrend();
  const numbers = (column: (number | null)[]): number[] => column.map((v) => v ?? NaN);
  return {
    ...emptyTrend(),
    mean: numbers(timeline.lat_mean_ms),
    min: numbers(timeline.lat_min_ms),
    max: numbers(timeline.lat_max_ms),
    p95: numbers(timeline.lat_p95_ms),
    p99: numbers(timeline.lat_p99_ms),
    power: numbers(timeline.power_mean_w),
    dropped: timeline.dropped,
  };
}
