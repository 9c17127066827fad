import type uPlot from "uplot";
import { css } from "./colors.ts";

interface AxesOptions {
  right: boolean;
  relative: boolean;
  /** Custom properties with the colours of the value axes, where they have one of their own. */
  colors?: [string?, string?];
}

/** Width that is kept for a value axis, so that the plot never moves when its numbers get longer. */
const VALUE_WIDTH = 48;
const LABEL_HALF = 26;

/** The axes of a chart over time: time below, one or two value axes. */
export function axes({ right, relative, colors }: AxesOptions): uPlot.Axis[] {
  const value = (side: 1 | 3, scale: string, color: string | undefined): uPlot.Axis => ({
    ...base(color),
    scale,
    side,
    size: VALUE_WIDTH,
    space: 36,
    grid: side === 3 ? gridLines() : { show: false },
    values: (_u, splits) => splits.map(compact),
  });
  return [
    { ...base(), scale: "x", size: 26, space: 64, grid: gridLines(), incrs: INCREMENTS, splits: (_u, _i, min, max, incr) => times(min, max, incr, relative), values: (u, splits, _i, _s, incr) => splits.map((t) => (fits(u, t) ? (relative ? elapsed(t, incr) : clock(t, incr)) : "")) },
    value(3, "y0", colors?.[0]),
    ...(right ? [value(1, "y1", colors?.[1])] : []),
  ];
}

/** What every axis looks like. */
export function base(color?: string): uPlot.Axis {
  return {
    stroke: css(color ?? "--muted"),
    font: `11px ${css("--font")}`,
    gap: 6,
    ticks: { show: false },
    border: { show: false },
  };
}

export function gridLines(): uPlot.Axis.Grid {
  return { stroke: css("--grid"), width: 1 };
}

const S = 1000;
const M = 60 * S;
const H = 60 * M;
const INCREMENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, S, 2 * S, 5 * S, 10 * S, 15 * S, 30 * S, M, 2 * M, 5 * M, 10 * M, 15 * M, 30 * M, H, 2 * H, 3 * H, 6 * H, 12 * H, 24 * H];

/** Whether the label of a time stays within the chart. */
function fits(u: uPlot, t: number): boolean {
  return u.valToPos(t, "x") < u.width - u.bbox.left / devicePixelRatio - LABEL_HALF;
}

/** Round times, of the clock on the wall or since the start. */
function times(min: number, max: number, incr: number, relative: boolean): number[] {
  const zone = relative ? 0 : new Date(min).getTimezoneOffset() * M;
  const out: number[] = [];
  for (let t = Math.ceil((min - zone) / incr) * incr + zone; t <= max; t += incr) out.push(t);
  return out;
}

const two = (n: number): string => String(n).padStart(2, "0");

function clock(t: number, incr: number): string {
  const d = new Date(t);
  const minutes = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (incr >= M) return minutes;
  if (incr >= S) return `${minutes}:${two(d.getSeconds())}`;
  return `${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

function elapsed(ms: number, incr: number): string {
  const sign = ms < 0 ? "-" : "";
  const s = Math.abs(ms) / S;
  const text = `${Math.floor(s / 60)}:${two(Math.floor(s) % 60)}`;
  return sign + (incr >= S ? text : `${text}.${String(Math.round(Math.abs(ms)) % S).padStart(3, "0")}`);
}

/** A number on an axis, short: 1.5k, 20M. */
export function compact(v: number): string {
  const a = Math.abs(v);
  const trim = (x: number): string => String(Number(x.toFixed(a < 10 ? 3 : 1)));
  if (a >= 1e9) return `${trim(v / 1e9)}G`;
  if (a >= 1e6) return `${trim(v / 1e6)}M`;
  if (a >= 1e4) return `${trim(v / 1e3)}k`;
  return trim(v);
}
