import uPlot from "uplot";
import { base, compact, gridLines } from "./axes.ts";

/** The bounds of both axes. */
export interface Extent {
  x: [number, number];
  y: [number, number];
}

/** A chart over two values, with the axes of uPlot and a picture that its owner draws. */
export class XyPlot {
  private readonly plot: uPlot;
  private extent: Extent = { x: [0, 1], y: [0, 1] };
  private picture: (u: uPlot) => void = () => {};

  constructor(host: HTMLElement) {
    const axis = (scale: "x" | "y"): uPlot.Axis => ({
      ...base(),
      scale,
      side: scale === "x" ? 2 : 3,
      size: scale === "x" ? 26 : 48,
      space: scale === "x" ? 56 : 34,
      grid: gridLines(),
      values: (_u, splits) => splits.map(compact),
    });
    this.plot = new uPlot(
      {
        width: Math.max(40, host.clientWidth),
        height: Math.max(40, host.clientHeight),
        padding: [8, 12, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, auto: false, range: () => this.extent.x }, y: { auto: false, range: () => this.extent.y } },
        axes: [axis("x"), axis("y")],
        series: [{}, { show: false }],
        hooks: { draw: [(u) => this.draw(u)] },
      },
      [[0, 1], [null, null]],
      host,
    );
  }

  destroy(): void {
    this.plot.destroy();
  }

  resize(width: number, height: number): void {
    if (width !== this.plot.width || height !== this.plot.height) this.plot.setSize({ width, height });
  }

  /** Shows a picture within bounds. */
  show(extent: Extent, picture: (u: uPlot) => void): void {
    this.extent = extent;
    this.picture = picture;
    this.plot.batch(() => {
      this.plot.setScale("x", { min: extent.x[0], max: extent.x[1] });
      this.plot.setScale("y", { min: extent.y[0], max: extent.y[1] });
    });
    this.plot.redraw(false, true);
  }

  private draw(u: uPlot): void {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    this.picture(u);
    ctx.restore();
  }
}
