import { effect, signal } from "@preact/signals";
import { getJson, sessionPath } from "./api.ts";
import { Dataset } from "./dataset.ts";
import { Scope, type Range } from "./scope.ts";
import type { Board, Channels, Marks, Pairs, Power, Session, Status, Summary, Timeline } from "./wire.ts";

/** Buckets asked for; a chart has about as many pixels. */
const POINTS = 1600;
const RAIL_POINTS = 500;
const CHANNEL_POINTS = 600;
const TREND_POINTS = 48;
/** Wait after the last movement of a zoom before the server is asked. */
const SETTLE_MS = 250;

/** A past session: it is loaded thinned to the screen, and again in detail for a stretch that is zoomed into. */
export class PastSession {
  readonly data = new Dataset(Infinity, Infinity);
  readonly scope: Scope;
  readonly state = signal<"loading" | "ready" | "failed">("loading");
  readonly error = signal("");
  private opening: Promise<void> | null = null;
  private whole: Range | null = null;
  private abort = new AbortController();
  private stop = (): void => {};
  private timer = 0;
  /** The stretch that the series hold in full detail of the screen, and for which pair and board. */
  private loadedFor = "";

  constructor(readonly id: string) {
    this.scope = new Scope(this.data, false, undefined, undefined, () => this.whole);
  }

  /** Loads it; once, however often it is called. */
  open(): Promise<void> {
    return (this.opening ??= this.load());
  }

  private async load(): Promise<void> {
    try {
      const { session, boards } = await getJson<{ session: Session; boards?: Board[] }>(`/api/sessions/${encodeURIComponent(this.id)}`, {}, this.abort.signal);
      this.data.session = session;
      this.data.boards = boards ?? [];
      const end = session.ended ?? session.started + 1000 * (session.duration_s ?? 1);
      this.whole = { from: session.started, to: Math.max(end, session.started + 1) };
      await Promise.all([this.loadSeries(this.whole), this.loadRest()]);
      this.state.value = "ready";
      this.stop = effect(() => this.follow(this.scope.held.value, this.scope.pair.value, this.scope.device.value));
    } catch (cause) {
      if (this.abort.signal.aborted) return;
      this.error.value = cause instanceof Error ? cause.message : String(cause);
      this.state.value = "failed";
    }
  }

  close(): void {
    this.stop();
    clearTimeout(this.timer);
    this.abort.abort();
  }

  /** Asks again, a moment after the view has come to rest on another stretch. */
  private follow(_held: Range | null, _pair: string | null, _device: string | null): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      const range = this.scope.held.peek() ?? this.whole;
      if (!range) return;
      this.loadSeries(range).catch((cause) => {
        if (!this.abort.signal.aborted) this.error.value = cause instanceof Error ? cause.message : String(cause);
      });
    }, SETTLE_MS);
  }

  private async loadSeries(range: Range): Promise<void> {
    const pair = this.scope.pairName();
    const device = this.scope.device.peek();
    const key = `${range.from}/${range.to}/${pair}/${device}`;
    if (key === this.loadedFor) return;
    this.loadedFor = key;
    const around = this.padded(range);
    const get = <T>(route: string, query: Record<string, string | number | null>): Promise<T> =>
      getJson<T>(sessionPath(this.id, route), query, this.abort.signal);
    const [summary, timeline, latency, rails] = await Promise.all([
      get<Summary>("summary", { pair, device, ...range }),
      get<Timeline>("timeline", { pair, ...range, points: TREND_POINTS }),
      pair ? get<Pairs>("latency", { pair, ...around, points: POINTS }) : null,
      this.data.session?.devices.length === 0 ? null : get<Power>("rails", { device, ...around, points: RAIL_POINTS }),
    ]);
    if (key !== this.loadedFor) return; // the view has moved on
    this.replace(latency, rails);
    this.scope.summary.value = summary;
    this.scope.timeline.value = timeline;
    this.error.value = "";
    this.scope.loaded.value++;
  }

  /** A stretch with half of its length on either side, so that a small pan shows no blank. */
  private padded({ from, to }: Range): Range {
    const pad = (to - from) / 2;
    const whole = this.whole ?? { from, to };
    return { from: Math.max(whole.from, from - pad), to: Math.min(whole.to, to + pad) };
  }

  private replace(latency: Pairs | null, rails: Power | null): void {
    this.data.exact = true;
    if (latency) {
      this.data.pairs.delete(latency.pair);
      this.data.apply({ event: "pairs", data: latency });
    }
    if (rails) {
      this.data.power.delete(rails.device);
      this.data.apply({ event: "power", data: rails });
    }
  }

  private async loadRest(): Promise<void> {
    const { signal } = this.abort;
    const [channels, marks, status] = await Promise.all([
      getJson<Channels>(sessionPath(this.id, "channels"), { points: CHANNEL_POINTS }, signal),
      getJson<Marks>(sessionPath(this.id, "marks"), {}, signal),
      getJson<Status>("/api/status", {}, signal),
    ]);
    this.data.apply({ event: "channels", data: channels });
    this.data.apply({ event: "marks", data: marks });
    this.data.apply({ event: "status", data: status });
  }
}
