import type uPlot from "uplot";
import type { Ring } from "../data/ring.ts";
import { CalmRange } from "./calm.ts";
import { css } from "./colors.ts";
import { XyPlot } from "./xyplot.ts";

/** Size of a cell in CSS pixels. */
const CELL = 3;

/**
 * Latency against power: how many pairs fall into each small cell of the plane, darker where there are more. It counts every pair
 * in view, so that 90,000 of them cost no more to draw than a hundred.
 */
export class Scatter {
  private readonly plot: XyPlot;
  private readonly x = new CalmRange();
  private readonly y = new CalmRange(0);
  private cells = new Uint32Array(0);

  constructor(host: HTMLElement) {
    this.plot = new XyPlot(host);
  }

  destroy(): void {
    this.plot.destroy();
  }

  resize(width: number, height: number): void {
    this.plot.resize(width, height);
  }

  /** Draws the pairs of `ring` in `from <= t < to`. */
  show(ring: Ring | undefined, from: number, to: number, still: boolean): void {
    const w = ring?.cols.get("power_w");
    const l = ring?.cols.get("lat_ms");
    const [start, end] = ring ? [ring.lower(from), ring.lower(to)] : [0, 0];
    let [lowX, highX, highY] = [Infinity, -Infinity, -Infinity];
    if (w && l) {
      for (let i = start; i < end; i++) {
        if (w[i] !== w[i] || l[i] !== l[i]) continue;
        if (w[i] < lowX) lowX = w[i];
        if (w[i] > highX) highX = w[i];
        if (l[i] > highY) highY = l[i];
      }
    }
    const now = performance.now();
    this.x.update(lowX, highX, now, still);
    this.y.update(0, highY, now, still);
    const { x, y } = this;
    const picture = w && l && highX >= lowX ? (u: uPlot) => this.paint(u, w, l, start, end) : () => {};
    this.plot.show({ x: [x.low, x.high], y: [y.low, y.high] }, picture);
  }

  private paint(u: uPlot, w: Float64Array, l: Float64Array, start: number, end: number): void {
    const { ctx, bbox } = u;
    const size = CELL * devicePixelRatio;
    const columns = Math.ceil(bbox.width / size);
    const rows = Math.ceil(bbox.height / size);
    if (this.cells.length < columns * rows) this.cells = new Uint32Array(columns * rows);
    const cells = this.cells.fill(0, 0, columns * rows);
    const perX = columns / (this.x.high - this.x.low);
    const perY = rows / (this.y.high - this.y.low);
    let most = 0;
    for (let i = start; i < end; i++) {
      const cx = Math.floor((w[i] - this.x.low) * perX);
      const cy = Math.floor((l[i] - this.y.low) * perY);
      if (!(cx >= 0 && cx < columns && cy >= 0 && cy < rows)) continue; // NaN too
      const n = ++cells[cy * columns + cx];
      if (n > most) most = n;
    }
    ctx.fillStyle = css("--latency");
    const top = Math.log1p(most);
    for (let k = 0; k < columns * rows; k++) {
      if (cells[k] === 0) continue;
      ctx.globalAlpha = 0.3 + 0.7 * (top ? Math.log1p(cells[k]) / top : 1);
      ctx.fillRect(bbox.left + (k % columns) * size, bbox.top + bbox.height - (Math.floor(k / columns) + 1) * size, size, size);
    }
  }
}
