import type { Ring } from "./ring.ts";

/** Figures of the readings of one column in a stretch of time; NaN where there is no reading. */
export interface Figures {
  count: number;
  mean: number;
  min: number;
  max: number;
  p50: number;
  p95: number;
  p99: number;
}

/** The readings of a column in `from <= t < to`, without missing ones. */
export function readings(ring: Ring | undefined, column: string, from: number, to: number): Float64Array {
  const v = ring?.cols.get(column);
  if (!ring || !v) return new Float64Array(0);
  const part = v.slice(ring.lower(from), ring.lower(to));
  let n = 0;
  for (const y of part) if (y === y) part[n++] = y;
  return part.subarray(0, n);
}

/** Figures of readings; `values` is put in another order. */
export function figures(values: Float64Array): Figures {
  const n = values.length;
  if (n === 0) return { count: 0, mean: NaN, min: NaN, max: NaN, p50: NaN, p95: NaN, p99: NaN };
  let sum = 0;
  let min = Infinity;
  let max = -Infinity;
  for (const y of values) {
    sum += y;
    if (y < min) min = y;
    if (y > max) max = y;
  }
  const p50 = percentile(values, 0.5);
  const p95 = percentile(values, 0.95);
  const p99 = percentile(values, 0.99);
  return { count: n, mean: sum / n, min, max, p50, p95, p99 };
}

/**
 * Exact percentile with linear interpolation between the two nearest ranks, as SQL's `percentile_cont` has it. It selects
 * (Hoare's quickselect) and does not sort; `values` is put in another order.
 */
export function percentile(values: Float64Array, p: number): number {
  const n = values.length;
  if (n === 0) return NaN;
  const rank = p * (n - 1);
  const k = Math.floor(rank);
  const low = select(values, k);
  if (rank === k || k + 1 >= n) return low;
  let next = Infinity;
  for (let i = k + 1; i < n; i++) if (values[i] < next) next = values[i];
  return low + (rank - k) * (next - low);
}

/** The k-th smallest value, which then lies at `k` with smaller ones before and greater ones behind. */
function select(a: Float64Array, k: number): number {
  let lo = 0;
  let hi = a.length - 1;
  while (lo < hi) {
    const pivot = a[(lo + hi) >> 1];
    let i = lo;
    let j = hi;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        const swap = a[i];
        a[i++] = a[j];
        a[j--] = swap;
      }
    }
    if (k <= j) hi = j;
    else if (k >= i) lo = i;
    else break;
  }
  return a[k];
}

/** Pearson's coefficient of two columns over the rows where both have a reading; NaN for fewer than two or without spread. */
export function correlation(ring: Ring | undefined, x: string, y: string, from: number, to: number): number {
  const a = ring?.cols.get(x);
  const b = ring?.cols.get(y);
  if (!ring || !a || !b) return NaN;
  let n = 0;
  let meanA = 0;
  let meanB = 0;
  let aa = 0;
  let bb = 0;
  let ab = 0;
  const end = ring.lower(to);
  for (let i = ring.lower(from); i < end; i++) {
    const p = a[i];
    const q = b[i];
    if (p !== p || q !== q) continue;
    n++;
    const da = p - meanA; // Welford's update: no cancellation, whatever the offset
    const db = q - meanB;
    meanA += da / n;
    meanB += db / n;
    aa += da * (p - meanA);
    bb += db * (q - meanB);
    ab += da * (q - meanB);
  }
  return n < 2 || aa <= 0 || bb <= 0 ? NaN : ab / Math.sqrt(aa * bb);
}

/** Equal bins over a range; readings outside are counted in the first or the last bin. */
export interface Histogram {
  edges: number[];
  count: number[];
  total: number;
}

/**
 * A histogram of readings between 0 and their greatest one, in at most `bins` bins whose width is 1, 2 or 5 times a power of
 * ten, so that the bins stay where they are while readings come in.
 */
export function histogram(values: Float64Array, bins = 40): Histogram {
  let high = 0;
  for (const y of values) if (y > high) high = y;
  if (values.length === 0 || high === 0) return { edges: [], count: [], total: values.length };
  const width = niceStep(high / bins);
  const n = Math.floor(high / width) + 1;
  const count = new Array<number>(n).fill(0);
  for (const y of values) count[Math.max(0, Math.min(n - 1, Math.floor(y / width)))]++;
  const edges = Array.from({ length: n + 1 }, (_, i) => i * width);
  return { edges, count, total: values.length };
}

/** The least of 1, 2, 5 times a power of ten that is not below `step`. */
export function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const m = step / power;
  return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * power;
}

/** Integral of a column over time in its unit times seconds, trapezoid between neighbours, nothing across a gap. */
export function integral(ring: Ring | undefined, column: string, from: number, to: number): number {
  const v = ring?.cols.get(column);
  if (!ring || !v) return NaN;
  const { t, gap_ms } = ring;
  let sum = 0;
  let any = false;
  const end = ring.lower(to);
  for (let i = ring.lower(from) + 1; i < end; i++) {
    const dt = t[i] - t[i - 1];
    const y = (v[i] + v[i - 1]) / 2;
    if (dt > gap_ms || y !== y) continue;
    sum += (y * dt) / 1000;
    any = true;
  }
  return any ? sum : NaN;
}

/** Sum of a column, and how many readings it is of. */
export function total(ring: Ring | undefined, column: string, from: number, to: number): { sum: number; count: number } {
  const v = ring?.cols.get(column);
  let sum = 0;
  let count = 0;
  if (ring && v) {
    const end = ring.lower(to);
    for (let i = ring.lower(from); i < end; i++) {
      if (v[i] === v[i]) {
        sum += v[i];
        count++;
      }
    }
  }
  return { sum, count };
}

/** Greatest reading of a column, NaN where there is none. */
export function greatest(ring: Ring | undefined, column: string, from: number, to: number): number {
  const v = ring?.cols.get(column);
  let high = NaN;
  if (ring && v) {
    const end = ring.lower(to);
    for (let i = ring.lower(from); i < end; i++) if (!(v[i] <= high) && v[i] === v[i]) high = v[i];
  }
  return high;
}
