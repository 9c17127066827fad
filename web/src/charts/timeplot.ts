import uPlot from "uplot";
import { centres, grid, newBuckets, thin, type Buckets, type Grid } from "../data/buckets.ts";
import type { Scope } from "../data/scope.ts";
import { CalmRange } from "./calm.ts";
import { alpha, css } from "./colors.ts";
import { pace_ms } from "./frame.ts";
import { follow as followPointer } from "./gestures.ts";
import type { Line } from "./line.ts";
import { drawDrops, drawMarks } from "./marklines.ts";
import { stack } from "./stack.ts";
import { axes } from "./axes.ts";

export interface TimePlotOptions {
  scope: Scope;
  lines: Line[];
  /** Draw the lines on top of one another, as areas. */
  stacked?: boolean;
  /** Where the value axes begin and, at the least, end; left and right. */
  floor?: [number?, number?];
  ceiling?: [number?, number?];
  /** Show times since the session's start. */
  relative?: boolean;
  /** Show the session's marks, and the dropped frames of the pair. */
  marks?: boolean;
  /** Charts of one key have linked cursors. */
  sync?: string;
}

/** While a live view stands within a pixel, new data is drawn so often. */
const DATA_MS = 80;

/** A chart over time that follows its scope. It reads rings itself, thins them to its pixels and hands uPlot the result. */
export class TimePlot {
  private readonly plot: uPlot;
  private readonly buckets: Buckets[];
  private readonly ranges: [CalmRange, CalmRange];
  private readonly level = newBuckets();
  /** Colour of what lies behind each line. */
  private readonly shades: string[];
  private readonly x: number[] = [];
  private grid: Grid = { from: 0, width: 1, count: 1 };
  private drawnFrom = NaN;
  private drawnTo = NaN;
  private drawnVersion = -1;
  private width = 0;
  private height = 0;
  private readonly unfollow: () => void;

  constructor(
    host: HTMLElement,
    private readonly options: TimePlotOptions,
  ) {
    const { floor, ceiling, lines } = options;
    this.buckets = lines.map(newBuckets);
    this.shades = lines.map((line) => alpha(css(line.color), 0.28));
    this.ranges = [new CalmRange(floor?.[0], ceiling?.[0]), new CalmRange(floor?.[1], ceiling?.[1])];
    this.width = host.clientWidth;
    this.height = host.clientHeight;
    this.plot = new uPlot(this.config(), [[], ...lines.map(() => [])] as uPlot.AlignedData, host);
    this.unfollow = followPointer(this.plot.over, options.scope);
  }

  destroy(): void {
    this.unfollow();
    this.plot.destroy();
  }

  resize(width: number, height: number): void {
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    this.plot.setSize({ width, height });
    this.drawnVersion = -1;
  }

  /** Draws if there is anything new to see: data, or a view that moved by a pixel. */
  paint(now: number): void {
    if (this.width < 40) return;
    const { scope } = this.options;
    const { from, to } = scope.range();
    const pixel = (to - from) / this.plotWidth();
    const moved = !(Math.abs(from - this.drawnFrom) < pixel && Math.abs(to - this.drawnTo) < pixel);
    const version = this.version();
    const following = scope.live && scope.held.peek() === null;
    if (!moved && (version === this.drawnVersion || (following && now - this.paintedAt < DATA_MS))) return;
    if (following && now - this.paintedAt < pace_ms()) return;
    this.paintedAt = now;
    this.drawnFrom = from;
    this.drawnTo = to;
    this.drawnVersion = version;
    this.fill(from, to, now);
  }

  private paintedAt = 0;
  private readonly origin = (): number => (this.options.relative ? (this.options.scope.data.session?.started ?? 0) : 0);

  private plotWidth(): number {
    return Math.max(1, this.plot.over.clientWidth);
  }

  private version(): number {
    const { scope, marks } = this.options;
    let sum = marks ? scope.data.marks.marks.length + (scope.track()?.drops.version ?? 0) : 0;
    for (const line of this.options.lines) sum += (line.ring()?.version ?? 0) + (line.means?.()?.version ?? 0);
    return sum;
  }

  private fill(from: number, to: number, now: number): void {
    const { lines, scope, stacked } = this.options;
    const rings = lines.map((line) => line.ring());
    const margin = Math.max(0, ...rings.map((r) => (r && r.length > 1 ? 1.5 * r.spacing_ms : 0)));
    this.grid = grid(from, to, this.plotWidth(), margin);
    centres(this.grid, this.x);
    lines.forEach((line, i) => {
      thin(rings[i], line.column, this.grid, this.buckets[i]);
      const means = line.means?.();
      if (means?.length) this.buckets[i].mean = thin(means, line.column, this.grid, this.level).mean.slice();
      if (line.scale !== undefined) rescale(this.buckets[i], this.grid.count, line.scale);
    });
    if (stacked) stack(this.buckets, this.grid.count);
    const still = !scope.live || scope.held.peek() !== null;
    for (const axis of [0, 1] as const) {
      let low = Infinity;
      let high = -Infinity;
      lines.forEach((line, i) => {
        if ((line.axis ?? 0) !== axis) return;
        low = Math.min(low, this.buckets[i].low || (this.buckets[i].low === 0 ? 0 : Infinity));
        high = Math.max(high, this.buckets[i].high || (this.buckets[i].high === 0 ? 0 : -Infinity));
      });
      this.ranges[axis].update(low, high, now, still);
    }
    const origin = this.origin();
    const x = origin ? this.x.map((t) => t - origin) : this.x;
    const data = [x, ...this.buckets.map((b) => b.mean)] as uPlot.AlignedData;
    this.plot.batch(() => {
      this.plot.setData(data, false);
      this.plot.setScale("x", { min: from - origin, max: to - origin });
    });
  }

  private config(): uPlot.Options {
    const { lines, scope, stacked, relative, sync, marks } = this.options;
    const right = lines.some((line) => line.axis === 1);
    return {
      width: Math.max(40, this.width),
      height: Math.max(40, this.height),
      ms: 1,
      pxAlign: 0.5,
      padding: [8, right ? 0 : 12, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: true, auto: false },
        y0: { range: () => [this.ranges[0].low, this.ranges[0].high] },
        y1: { range: () => [this.ranges[1].low, this.ranges[1].high] },
      },
      axes: axes({ right, relative: relative ?? false, colors: right ? [axisColor(lines, 0), axisColor(lines, 1)] : undefined }),
      // Of a stack, each area reaches down to the next line only, so that colours do not mix.
      bands: stacked ? lines.slice(1).map((_, i) => ({ series: [i + 1, i + 2] })) : [],
      series: [{}, ...lines.map((line) => this.series(line, stacked ?? false))],
      cursor: {
        sync: { key: sync ?? scope.id, scales: ["x", null], setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { show: !stacked, size: 6, width: 1.5 },
        focus: { prox: -1 },
      },
      hooks: {
        drawAxes: stacked ? [] : [(u) => this.drawExtremes(u)],
        draw: marks ? [(u) => this.annotate(u)] : [],
        setSelect: [(u) => this.selected(u)],
        setCursor: [(u) => this.pointed(u)],
      },
    };
  }

  private series(line: Line, stacked: boolean): uPlot.Series {
    const color = css(line.color);
    return {
      scale: line.axis === 1 ? "y1" : "y0",
      stroke: color,
      width: stacked ? 1 : 1.5,
      fill: stacked ? alpha(color, 0.85) : undefined,
      points: { show: (u) => !stacked && this.grid.count > 0 && u.bbox.width / devicePixelRatio / this.rowsInView(line) > 24 },
      spanGaps: false,
    };
  }

  private rowsInView(line: Line): number {
    const ring = line.ring();
    return ring ? Math.max(1, ring.lower(this.drawnTo) - ring.lower(this.drawnFrom)) : Infinity;
  }

  /** Behind each line, what its readings reach to in each pixel: peaks stay visible where the line is their mean. */
  private drawExtremes(u: uPlot): void {
    const { ctx } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    const origin = this.origin();
    const wide = (u.bbox.width * this.grid.width) / (this.drawnTo - this.drawnFrom);
    this.options.lines.forEach((line, i) => {
      const { min, max } = this.buckets[i];
      const scale = line.axis === 1 ? "y1" : "y0";
      const first = u.valToPos(this.x[0] - origin, "x", true) - wide / 2;
      const { height, top } = u.bbox;
      const { min: low, max: high } = u.scales[scale];
      const perUnit = height / ((high ?? 1) - (low ?? 0));
      ctx.fillStyle = this.shades[i];
      // One rectangle at a time: a single path of a thousand of them takes many times as long to fill.
      for (let k = 0; k < this.grid.count; k++) {
        if (!(max[k] > min[k])) continue;
        ctx.fillRect(first + k * wide, top + height - (max[k] - (low ?? 0)) * perUnit, wide, (max[k] - min[k]) * perUnit);
      }
    });
    ctx.restore();
  }

  private annotate(u: uPlot): void {
    const { scope } = this.options;
    drawMarks(u, scope.data.marks.marks, this.origin());
    drawDrops(u, scope.track()?.drops, this.drawnFrom, this.drawnTo, this.origin());
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    if (width < 4) return;
    const origin = this.origin();
    this.options.scope.hold({ from: u.posToVal(left, "x") + origin, to: u.posToVal(left + width, "x") + origin });
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  private pointed(u: uPlot): void {
    const left = u.cursor.left ?? -1;
    this.options.scope.cursor.value = left < 0 ? null : u.posToVal(left, "x") + this.origin();
  }
}

/** Colour of an axis that belongs to one line alone; with more of them it stays neutral. */
function axisColor(lines: Line[], axis: 0 | 1): string | undefined {
  const own = lines.filter((line) => (line.axis ?? 0) === axis);
  return own.length === 1 ? own[0].color : undefined;
}

function rescale(b: Buckets, count: number, factor: number): void {
  for (let i = 0; i < count; i++) {
    b.min[i] *= factor;
    b.max[i] *= factor;
    const y = b.mean[i];
    if (y != null) b.mean[i] = y * factor;
  }
  b.low *= factor;
  b.high *= factor;
}
