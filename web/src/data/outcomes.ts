import type { Scope } from "./scope.ts";

/** The stretch that the pairing view shows. */
export const PAIRING_SPAN_MS = 2_000;

/** What became of a frame that entered the first stage of the pair. */
export interface Outcome {
  state: "paired" | "dropped" | "open";
  /** Time of the first stage. */
  a: number;
  /** Time of the second stage, NaN unless paired. */
  b: number;
  frame: number;
}

/**
 * The frames that entered the first stage in the two seconds before `to`, by that time: paired ones, dropped ones, and those
 * that wait still (an event of the first stage that neither a pair nor a drop is of). Drops are known only when the pairing window has
 * passed, so those that were decided in these two seconds (and entered before) are listed too.
 */
export function outcomes(scope: Scope, to: number): Outcome[] {
  const track = scope.track();
  const out: Outcome[] = [];
  if (!track) return out;
  const from = to - PAIRING_SPAN_MS;
  const { rows, drops } = track;
  const taken = new Set<number>();
  const latency = rows.cols.get("lat_ms");
  const frames = rows.cols.get("frame");
  for (let i = rows.lower(from - PAIRING_SPAN_MS); i < rows.lower(to); i++) {
    taken.add(rows.t[i]);
    const b = rows.t[i] + (latency?.[i] ?? NaN);
    if (b >= from && b < to) out.push({ state: "paired", a: rows.t[i], b, frame: frames?.[i] ?? NaN });
  }
  for (let i = drops.lower(from - PAIRING_SPAN_MS); i < drops.lower(to); i++) {
    taken.add(drops.t[i]);
    out.push({ state: "dropped", a: drops.t[i], b: NaN, frame: drops.cols.get("frame")?.[i] ?? NaN });
  }
  out.push(...waiting(scope, from, to, taken));
  return out.sort((x, y) => x.a - y.a);
}

function waiting(scope: Scope, from: number, to: number, taken: Set<number>): Outcome[] {
  const { events, stages } = scope.data;
  const first = stages.indexOf(scope.pairName()?.split(",")[0] ?? "");
  const stage = events.cols.get("stage");
  const frames = events.cols.get("frame");
  const out: Outcome[] = [];
  if (first < 0 || !stage) return out;
  for (let i = events.lower(from); i < events.lower(to); i++) {
    if (stage[i] === first && !taken.has(events.t[i])) out.push({ state: "open", a: events.t[i], b: NaN, frame: frames?.[i] ?? NaN });
  }
  return out;
}
