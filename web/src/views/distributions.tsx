import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { Bars as BarsPlot } from "../charts/bars.ts";
import { useDrawing, type Drawing } from "../charts/host.ts";
import { Scatter } from "../charts/scatter.ts";
import type { Overview } from "../data/overview.ts";
import type { Scope } from "../data/scope.ts";
import { count, num } from "../ui/format.ts";
import { Panel, latencyTone } from "../ui/parts.tsx";

/** The cloud and the bars are drawn so often while data comes in. */
const REDRAW_MS = 500;

/** Latency against power, with how well one follows the other. */
export function ScatterPlot({ scope, corr }: { scope: Scope; corr: number }): JSX.Element {
  const ref = useDrawing(scope.id, (host) => new LiveScatter(host, scope));
  return (
    <Panel title="Latency over power" note={scope.data.exact ? "ms, W" : "ms, W · extremes"} tools={<span class="badge" data-card="corr" title="Pearson's coefficient of correlation">r = {num(corr, 3)}</span>}>
      <div class="plot" ref={ref} role="img" aria-label={`Latency over power, coefficient of correlation ${num(corr, 3)}`} />
    </Panel>
  );
}

class LiveScatter implements Drawing {
  private readonly scatter: Scatter;
  private drawn = "";
  private at = -Infinity;

  constructor(
    host: HTMLElement,
    private readonly scope: Scope,
  ) {
    this.scatter = new Scatter(host);
  }

  resize(width: number, height: number): void {
    this.scatter.resize(width, height);
    this.drawn = "";
  }

  paint(now: number): void {
    if (now - this.at < REDRAW_MS) return;
    const { from, to } = this.scope.range();
    const rows = this.scope.track()?.rows;
    const key = `${from}/${to}/${rows?.version}`;
    if (key === this.drawn) return;
    this.drawn = key;
    this.at = now;
    this.scatter.show(rows, from, to, !this.scope.live || this.scope.held.peek() !== null);
  }

  destroy(): void {
    this.scatter.destroy();
  }
}

/** How often which latency occurred. */
export function Bars({ figures, still }: { figures: Overview; still: boolean }): JSX.Element {
  const latest = useRef({ figures, still });
  latest.current = { figures, still };
  const ref = useDrawing("bars", (host) => new LiveBars(host, () => latest.current));
  return (
    <Panel title="Latency histogram" note="pairs over ms" tools={<span class="badge">{count(figures.histogram.total)} pairs</span>}>
      <div class="plot" ref={ref} role="img" aria-label={`Histogram of latency: median ${num(figures.latency.p50, 2)} ms, 99th percentile ${num(figures.latency.p99, 2)} ms`} />
    </Panel>
  );
}

class LiveBars implements Drawing {
  private readonly bars: BarsPlot;
  private drawn: Overview | null = null;

  constructor(
    host: HTMLElement,
    private readonly latest: () => { figures: Overview; still: boolean },
  ) {
    this.bars = new BarsPlot(host);
  }

  resize(width: number, height: number): void {
    this.bars.resize(width, height);
    this.drawn = null;
  }

  paint(): void {
    const { figures, still } = this.latest();
    if (figures === this.drawn) return;
    this.drawn = figures;
    const { histogram: h, latency: l } = figures;
    const marks = [
      { at: l.p50, label: "p50" },
      { at: l.p95, label: "p95" },
      { at: l.p99, label: "p99" },
    ];
    this.bars.show(h.edges, h.count, (ms) => `--${latencyTone(ms)}-fill`, marks, still);
  }

  destroy(): void {
    this.bars.destroy();
  }
}
