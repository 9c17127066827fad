import type { Ring } from "./ring.ts";

/**
 * A line thinned for the screen: one bucket a pixel, with the minimum, the maximum and the mean of the readings in it, so that
 * no peak is lost. In `mean`, `undefined` is a bucket without a row (the line passes over it) and `null` a gap in the data.
 */
export interface Buckets {
  min: Float64Array;
  max: Float64Array;
  mean: (number | null | undefined)[];
  /** Least and greatest reading of all buckets, NaN when there is none. */
  low: number;
  high: number;
}

/** Where the buckets lie: `count` of them from `from` on, each `width` milliseconds wide. */
export interface Grid {
  from: number;
  width: number;
  count: number;
}

/**
 * The grid for a view. Boundaries are multiples of the width, so that a bucket keeps its rows while the view scrolls (otherwise
 * the line would shimmer); `margin_ms` more are taken on both sides, so that lines run out of the view and don't end in it.
 */
export function grid(from: number, to: number, pixels: number, margin_ms: number): Grid {
  const width = (to - from) / Math.max(1, pixels);
  const margin = Math.min(margin_ms, to - from);
  const first = Math.floor((from - margin) / width);
  const last = Math.ceil((to + margin) / width);
  return { from: first * width, width, count: Math.max(1, last - first) };
}

/** Centres of the buckets. */
export function centres(g: Grid, out: number[]): number[] {
  out.length = g.count;
  for (let i = 0; i < g.count; i++) out[i] = g.from + (i + 0.5) * g.width;
  return out;
}

export function newBuckets(): Buckets {
  return { min: new Float64Array(0), max: new Float64Array(0), mean: [], low: NaN, high: NaN };
}

function empty(g: Grid, out: Buckets): void {
  if (out.min.length < g.count) {
    out.min = new Float64Array(g.count + 64);
    out.max = new Float64Array(g.count + 64);
  }
  out.min.fill(NaN, 0, g.count);
  out.max.fill(NaN, 0, g.count);
  out.mean.length = g.count;
  out.mean.fill(undefined);
  out.low = out.high = NaN;
}

/** Thins one column of a ring into the grid's buckets. */
export function thin(ring: Ring | undefined, column: string, g: Grid, out: Buckets): Buckets {
  empty(g, out);
  const v = ring?.cols.get(column);
  if (!ring || !v) return out;
  const { t } = ring;
  const gap = ring.gap_ms;
  const end = ring.lower(g.from + g.count * g.width);
  let low = Infinity;
  let high = -Infinity;
  let lastBucket = -1;
  let lastT = NaN;
  for (let i = ring.lower(g.from); i < end; ) {
    const b = Math.min(g.count - 1, Math.floor((t[i] - g.from) / g.width));
    const bucketEnd = g.from + (b + 1) * g.width;
    const bucketFirst = t[i];
    let min = Infinity;
    let max = -Infinity;
    let sum = 0;
    let n = 0;
    do {
      const y = v[i];
      if (y === y) {
        if (y < min) min = y;
        if (y > max) max = y;
        sum += y;
        n++;
      }
      i++;
    } while (i < end && t[i] < bucketEnd);
    if (n === 0) {
      out.mean[b] = null;
    } else {
      out.min[b] = min;
      out.max[b] = max;
      out.mean[b] = sum / n;
      if (min < low) low = min;
      if (max > high) high = max;
    }
    if (bucketFirst - lastT > gap) out.mean.fill(null, lastBucket + 1, b);
    lastBucket = b;
    lastT = t[i - 1];
  }
  if (low <= high) {
    out.low = low;
    out.high = high;
  }
  return out;
}
