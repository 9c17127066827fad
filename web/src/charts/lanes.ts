import { PAIRING_SPAN_MS, outcomes } from "../data/outcomes.ts";
import type { Scope } from "../data/scope.ts";
import { css } from "./colors.ts";
import type { Drawing } from "./host.ts";

const LABEL_WIDTH = 108;
const PAD = 14;

/** Stage events on one lane a stage, each pair joined by a line; the time runs to the right. */
export class Lanes implements Drawing {
  private readonly canvas = document.createElement("canvas");
  private readonly colors = {
    ink: css("--ink"),
    muted: css("--muted"),
    grid: css("--grid"),
    line: css("--latency"),
    paired: css("--latency"),
    dropped: css("--bad"),
    open: css("--warn"),
  };
  private readonly font = css("--font");
  private drawn = "";

  constructor(
    private readonly host: HTMLElement,
    private readonly scope: Scope,
  ) {
    host.append(this.canvas);
  }

  destroy(): void {
    this.canvas.remove();
  }

  resize(): void {
    this.drawn = "";
  }

  paint(): void {
    const { to } = this.scope.range();
    const key = `${Math.round(to / 8)}/${this.scope.data.events.version}/${this.scope.track()?.rows.version}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const ratio = devicePixelRatio;
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    if (this.canvas.width !== width * ratio || this.canvas.height !== height * ratio) {
      this.canvas.width = width * ratio;
      this.canvas.height = height * ratio;
    }
    const ctx = this.canvas.getContext("2d");
    if (!ctx) return;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    this.draw(ctx, width, height, to);
  }

  private draw(ctx: CanvasRenderingContext2D, width: number, height: number, to: number): void {
    const pair = this.scope.pairName()?.split(",") ?? [];
    const others = this.scope.data.stages.filter((s) => !pair.includes(s));
    const stages = [...pair, ...others];
    const labels = Math.min(LABEL_WIDTH, width * 0.25);
    const from = to - PAIRING_SPAN_MS;
    const x = (t: number): number => labels + ((t - from) / PAIRING_SPAN_MS) * (width - labels - PAD);
    const y = (lane: number): number => PAD + (lane + 0.5) * ((height - 2 * PAD) / Math.max(1, stages.length));
    ctx.font = `12px ${this.font}`;
    ctx.textBaseline = "middle";
    stages.forEach((name, lane) => {
      ctx.fillStyle = lane < 2 ? this.colors.ink : this.colors.muted;
      ctx.fillText(name, 0, y(lane), labels - 8);
      ctx.fillStyle = this.colors.grid;
      ctx.fillRect(labels, y(lane) - 0.5, width - labels - PAD, 1);
    });
    ctx.save();
    ctx.beginPath();
    ctx.rect(labels, 0, width - labels - PAD, height);
    ctx.clip();
    this.events(ctx, stages, from, to, x, y);
    this.pairs(ctx, to, x, y);
    ctx.restore();
  }

  private events(ctx: CanvasRenderingContext2D, stages: string[], from: number, to: number, x: (t: number) => number, y: (lane: number) => number): void {
    const { events, stages: known } = this.scope.data;
    const stage = events.cols.get("stage");
    if (!stage) return;
    const lane = known.map((name) => stages.indexOf(name));
    ctx.fillStyle = this.colors.muted;
    for (let i = events.lower(from); i < events.lower(to); i++) ctx.fillRect(x(events.t[i]) - 0.5, y(lane[stage[i]]) - 5, 1, 10);
  }

  private pairs(ctx: CanvasRenderingContext2D, to: number, x: (t: number) => number, y: (lane: number) => number): void {
    ctx.strokeStyle = this.colors.paired;
    ctx.lineWidth = 1;
    ctx.beginPath();
    const all = outcomes(this.scope, to);
    for (const { state, a, b } of all) {
      if (state !== "paired") continue;
      ctx.moveTo(x(a), y(0));
      ctx.lineTo(x(b), y(1));
    }
    ctx.stroke();
    for (const { state, a } of all) {
      if (state === "paired") continue;
      ctx.fillStyle = this.colors[state];
      ctx.beginPath();
      ctx.arc(x(a), y(0), 4, 0, 2 * Math.PI);
      ctx.fill();
    }
  }
}
