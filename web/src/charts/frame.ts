import { signal } from "@preact/signals";

/** Text on the page is brought up to date so often. */
const BEAT_MS = 250;

type Painter = (now: number) => void;

/** Grows four times a second while the page is visible; components that show live text read it. */
export const beat = signal(0);

/** A frame that comes later than this was dropped. */
const LATE_MS = 22;

const painters = new Set<Painter>();
let running = false;
let lastBeat = 0;
let lastFrame = 0;
let lateness = 0;

/**
 * Least time between two drawings of a chart that only scrolls on: none while frames come in time, more while this machine drops
 * them, so that the page stays quick to the hand on a slow one.
 */
export function pace_ms(): number {
  return lateness > 0.3 ? 100 : lateness > 0.1 ? 50 : 0;
}

/** Has `paint` called before each repaint of the screen, from the one loop that the page has. Returns how to end it. */
export function onFrame(paint: Painter): () => void {
  painters.add(paint);
  if (!running) {
    running = true;
    requestAnimationFrame(loop);
  }
  return () => painters.delete(paint);
}

function loop(now: number): void {
  if (painters.size === 0) {
    running = false;
    return;
  }
  lateness += 0.05 * ((now - lastFrame > LATE_MS ? 1 : 0) - lateness);
  lastFrame = now;
  if (now - lastBeat >= BEAT_MS) {
    lastBeat = now;
    beat.value++;
  }
  for (const paint of painters) paint(now);
  requestAnimationFrame(loop);
}
