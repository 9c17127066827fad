import { signal } from "@preact/signals";
import type { Dataset, PairTrack, PowerTrack } from "./dataset.ts";
import type { Ring } from "./ring.ts";
import type { Summary, Timeline } from "./wire.ts";

/** A stretch of time, in milliseconds since 1970. */
export interface Range {
  from: number;
  to: number;
}

/** Shortest stretch that can be zoomed into. */
const SHORTEST_MS = 20;
let scopes = 0;

/**
 * What a set of views looks at: a dataset, a pair, a board, and a stretch of time. A live scope follows the clock with its
 * window; when it is held (paused, zoomed, panned) it stands still while data goes on coming in.
 */
export class Scope {
  readonly id = `scope${++scopes}`;
  /** The stretch that is held, null while following (or, of a past session, for the whole of it). */
  readonly held = signal<Range | null>(null);
  /** Time under the cursor, shared by every chart of the scope. */
  readonly cursor = signal<number | null>(null);
  readonly pair = signal<string | null>(null);
  readonly device = signal<string | null>(null);
  /** Exact figures of a past session for the stretch in view; of a live one there are none. */
  readonly summary = signal<Summary | null>(null);
  readonly timeline = signal<Timeline | null>(null);
  /** Grows when a past session has more to show. */
  readonly loaded = signal(0);
  private edge = NaN;

  /** @param now the time to follow, NaN to stand still; @param window_ms how much of it to show, of a live scope */
  constructor(
    readonly data: Dataset,
    readonly live: boolean,
    private readonly now: () => number = () => NaN,
    private readonly window_ms: () => number = () => NaN,
    private readonly whole: () => Range | null = () => null,
  ) {}

  /** The stretch to show now. */
  range(): Range {
    if (this.held.value) return this.held.value;
    if (!this.live) return this.whole() ?? { from: 0, to: 1 };
    const to = this.liveEdge();
    return { from: to - this.window_ms(), to };
  }

  /** Where the newest data ends: the server's time while it records, else the newest row. */
  private liveEdge(): number {
    const { data } = this;
    const recording = data.session?.state === "recording";
    const now = recording ? this.now() : data.newest;
    if (now === now) this.edge = now;
    return this.edge === this.edge ? this.edge : Date.now();
  }

  /** The name of the pair to show: the chosen one where there is one, else the session's first. */
  pairName(): string | null {
    const names = this.pairNames();
    const chosen = this.pair.value;
    return chosen && names.includes(chosen) ? chosen : (names[0] ?? null);
  }

  pairNames(): string[] {
    const { data } = this;
    const names = data.session?.pairs ?? [];
    return names.length ? names : [...data.pairs.keys()];
  }

  track(): PairTrack | undefined {
    const name = this.pairName();
    return name ? this.data.pairs.get(name) : undefined;
  }

  /** The board to show. */
  deviceName(): string | null {
    const names = [...this.data.power.keys()];
    const chosen = this.device.value;
    return chosen && names.includes(chosen) ? chosen : (names[0] ?? null);
  }

  powerTrack(): PowerTrack | undefined {
    const name = this.deviceName();
    return name ? this.data.power.get(name) : undefined;
  }

  powerRing(): Ring | undefined {
    return this.powerTrack()?.rows;
  }

  hold(range: Range): void {
    const { from, to } = range;
    if (to - from >= SHORTEST_MS) this.held.value = { from, to };
  }

  release(): void {
    this.held.value = null;
  }

  /** Makes the stretch `factor` times as long, with `at` staying where it is. */
  zoom(factor: number, at?: number): void {
    const { from, to } = this.range();
    const centre = at ?? (from + to) / 2;
    this.hold({ from: centre - (centre - from) * factor, to: centre + (to - centre) * factor });
  }

  /** Moves the stretch by a share of its length. */
  pan(share: number): void {
    const { from, to } = this.range();
    const step = (to - from) * share;
    this.hold({ from: from + step, to: to + step });
  }
}
