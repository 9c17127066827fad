import type uPlot from "uplot";
import type { Mark } from "../data/wire.ts";
import type { Ring } from "../data/ring.ts";
import { css } from "./colors.ts";

/** Height of the tick of a dropped frame, in CSS pixels. */
const TICK = 7;

/** Draws dropped frames as ticks that stand on the time axis. */
export function drawDrops(u: uPlot, drops: Ring | undefined, from: number, to: number, origin: number): void {
  if (!drops || drops.length === 0) return;
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  const bottom = bbox.top + bbox.height;
  ctx.fillStyle = css("--bad");
  const end = drops.lower(to);
  for (let i = drops.lower(from); i < end; i++) ctx.fillRect(u.valToPos(drops.t[i] - origin, "x", true) - ratio / 2, bottom - TICK * ratio, 1.5 * ratio, TICK * ratio);
}

/** Least distance between two labels, in CSS pixels. */
const APART = 72;

/** Draws bookmarks and beginnings of steps as dashed lines with their names. */
export function drawMarks(u: uPlot, marks: readonly Mark[], origin: number): void {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  let free = -Infinity;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = ctx.fillStyle = css("--muted");
  ctx.font = `${11 * ratio}px ${css("--font")}`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 4 * ratio]);
  for (const mark of marks) {
    if (mark.kind === "end") continue;
    const x = Math.round(u.valToPos(mark.t - origin, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (x < free) continue;
    ctx.fillText(mark.name, x + 4 * ratio, bbox.top + 2 * ratio);
    free = x + APART * ratio;
  }
  ctx.restore();
}
