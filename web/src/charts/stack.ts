import type { Buckets } from "../data/buckets.ts";

/**
 * Turns buckets of several lines into a stack, in place: each line's mean becomes the sum of its own and of all that
 * follow it, so that the first line is the outline and is painted first. A line without a reading in a bucket adds nothing there; a bucket
 * where no line has one stays without (`undefined`), or a gap (`null`).
 */
export function stack(lines: Buckets[], count: number): void {
  let high = -Infinity;
  for (let k = 0; k < count; k++) {
    let sum = 0;
    let any = false;
    let blank: null | undefined = undefined;
    for (let i = lines.length - 1; i >= 0; i--) {
      const y = lines[i].mean[k];
      if (y != null) {
        sum += y;
        any = true;
      } else if (y === null) {
        blank = null;
      }
      lines[i].mean[k] = sum;
    }
    if (any) {
      high = Math.max(high, sum);
    } else {
      for (const line of lines) line.mean[k] = blank;
    }
  }
  for (const line of lines) {
    line.low = high > -Infinity ? 0 : NaN;
    line.high = high > -Infinity ? high : NaN;
  }
}
