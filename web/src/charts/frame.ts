import { signal } from "@preact/signals";

/** Text on the page is brought up to date so often. */
const BEAT_MS = 250;

type Painter = (now: number) => void;

/** Grows four times a second while the page is visible; components that show live text read it. */
export const beat = signal(0);

const painters = new Set<Painter>();
let running = false;
let lastBeat = 0;

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
  if (now - lastBeat >= BEAT_MS) {
    lastBeat = now;
    beat.value++;
  }
  for (const paint of painters) paint(now);
  requestAnimationFrame(loop);
}
