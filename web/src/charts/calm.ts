import { niceStep } from "../data/stats.ts";

/** A scale shrinks only after the data would have fitted into a smaller one for so long. */
const SHRINK_MS = 2_500;

/**
 * The range of a value axis: round bounds that grow at once when data leaves them and shrink late, so that the
 * picture stands still while data comes in.
 */
export class CalmRange {
  low = 0;
  high = 1;
  private since = NaN;
  private any = false;

  /** @param floor where the axis begins, whatever the data (undefined: near the data); @param ceiling likewise, at the least */
  constructor(
    private readonly floor?: number,
    private readonly ceiling?: number,
  ) {}

  /** Takes the extremes of what is shown now; returns whether the range changed. `still` data may shrink it at once. */
  update(low: number, high: number, now: number, still: boolean): boolean {
    if (!(low <= high)) return false;
    const [lo, hi] = this.round(low, high);
    if (lo === this.low && hi === this.high && this.any) {
      this.since = NaN;
      return false;
    }
    const fits = this.any && lo >= this.low && hi <= this.high;
    if (fits && !still) {
      if (Number.isNaN(this.since)) this.since = now;
      if (now - this.since < SHRINK_MS) return false;
    }
    this.any = true;
    this.since = NaN;
    this.low = lo;
    this.high = hi;
    return true;
  }

  private round(low: number, high: number): [number, number] {
    const from = this.floor === undefined ? low : Math.min(this.floor, low);
    const to = this.ceiling === undefined ? high : Math.max(this.ceiling, high);
    const span = to - from || Math.abs(to) * 0.1 || 1;
    const step = niceStep(span / 5);
    const lo = this.floor !== undefined && from === this.floor ? this.floor : Math.floor((from - 0.04 * span) / step) * step;
    const hi = this.ceiling !== undefined && to === this.ceiling ? this.ceiling : Math.ceil((to + 0.04 * span) / step) * step;
    return [lo, hi];
  }
}
