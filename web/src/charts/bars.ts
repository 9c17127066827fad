import { CalmRange } from "./calm.ts";
import { css } from "./colors.ts";
import { XyPlot } from "./xyplot.ts";

/** Colour of a bar by the value in its middle. */
export type BarColor = (value: number) => string;

/** A histogram: bars over bins, with marks such as the 95th percentile. */
export class Bars {
  private readonly plot: XyPlot;
  private readonly x = new CalmRange(0);
  private readonly y = new CalmRange(0);

  constructor(host: HTMLElement) {
    this.plot = new XyPlot(host);
  }

  destroy(): void {
    this.plot.destroy();
  }

  resize(width: number, height: number): void {
    this.plot.resize(width, height);
  }

  show(edges: number[], count: number[], color: BarColor, marks: { at: number; label: string }[], still: boolean): void {
    const now = performance.now();
    this.x.update(0, edges.at(-1) ?? NaN, now, still);
    this.y.update(0, count.reduce((a, b) => Math.max(a, b), -Infinity), now, still);
    this.plot.show({ x: [0, this.x.high], y: [0, this.y.high] }, (u) => {
      const { ctx, bbox } = u;
      const ratio = devicePixelRatio;
      for (let i = 0; i < count.length; i++) {
        if (count[i] === 0) continue;
        const left = u.valToPos(edges[i], "x", true);
        const right = u.valToPos(edges[i + 1], "x", true);
        const top = Math.min(u.valToPos(count[i], "y", true), bbox.top + bbox.height - ratio);
        ctx.fillStyle = css(color((edges[i] + edges[i + 1]) / 2));
        ctx.fillRect(left + ratio / 2, top, Math.max(ratio, right - left - ratio), bbox.top + bbox.height - top);
      }
      ctx.font = `${11 * ratio}px ${css("--font")}`;
      ctx.textBaseline = "top";
      ctx.textAlign = "left";
      marks.forEach(({ at, label }, i) => {
        if (!(at <= this.x.high)) return;
        const x = Math.round(u.valToPos(at, "x", true)) + 0.5;
        ctx.strokeStyle = css("--muted");
        ctx.lineWidth = ratio;
        ctx.setLineDash([3 * ratio, 3 * ratio]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.setLineDash([]);
        ctx.fillStyle = css("--ink");
        ctx.fillText(label, x + 4 * ratio, bbox.top + 14 * ratio * i);
      });
    });
  }
}
