import { signal } from "@preact/signals";
import { ApiError, getJson } from "./api.ts";
import { ServerClock } from "./clock.ts";
import type { Dataset } from "./dataset.ts";
import { MESSAGE_NAMES, type Live, type Message } from "./wire.ts";

/** How the page is connected: by the stream, by polling, or not at all. */
export type Link = "connecting" | "live" | "polling" | "offline" | "refused";

const POLL_MS = 1_000;
/** Between attempts at the stream while polling. */
const STREAM_RETRY_MS = 15_000;
/** A stream that broke after less than this counts as one that does not come through. */
const STREAM_LIVED_MS = 5_000;
/** A stream that says nothing for so long (it sends `status` every second) is dead, whatever the browser believes. */
const SILENCE_MS = 6_000;

/**
 * Keeps a dataset current: first `/api/live` for what is there, then one stream from that id on; polling of `/api/live` where the
 * stream does not come through. The stream is closed while the page is hidden and resumed by id when it is seen again.
 */
export class LiveLink {
  readonly state = signal<Link>("connecting");
  readonly error = signal<string>("");
  readonly clock = new ServerClock();
  private stream: EventSource | null = null;
  private id = "";
  private timer = 0;
  private opened = 0;
  private heard = 0;
  private streamFailed = -Infinity;
  private loading = false;
  /** A longer window was asked for while an answer was under way. */
  private askAgain = false;
  private running = false;

  /** @param window_s how far back the page shows data now */
  constructor(
    private readonly data: Dataset,
    private window_s: number,
  ) {}

  start(): void {
    this.running = true;
    document.addEventListener("visibilitychange", this.onVisibility);
    addEventListener("pagehide", this.close);
    void this.load();
  }

  stop(): void {
    this.running = false;
    document.removeEventListener("visibilitychange", this.onVisibility);
    removeEventListener("pagehide", this.close);
    this.close();
  }

  /** Tries again at once, for a person who does not want to wait. */
  retry(): void {
    this.close();
    this.streamFailed = -Infinity;
    void this.load();
  }

  /** Sees to it that the dataset reaches as far back as a longer window shows. */
  reach(window_s: number): void {
    if (window_s <= this.window_s) return;
    this.window_s = window_s;
    this.close();
    void this.load();
  }

  private onVisibility = (): void => {
    if (document.hidden) this.close();
    else if (!this.id) void this.load();
    else void this.poll();
  };

  private close = (): void => {
    this.stream?.close();
    this.stream = null;
    clearTimeout(this.timer);
  };

  private later(ms: number, action: () => void): void {
    clearTimeout(this.timer);
    if (this.running && !document.hidden) this.timer = window.setTimeout(action, ms);
  }

  /** Loads the whole window, then goes on from its id. */
  private async load(): Promise<void> {
    await this.ask({ window: this.window_s }, true);
  }

  /** Asks for what came since the last id. */
  private async poll(): Promise<void> {
    await this.ask({ since: this.id, window: this.window_s }, false);
  }

  private async ask(query: Record<string, string | number>, whole: boolean): Promise<void> {
    if (this.loading) {
      this.askAgain ||= whole;
      return;
    }
    this.loading = true;
    try {
      const live = await getJson<Live>("/api/live", query);
      if (whole || live.reset) this.data.clear();
      this.clock.hear(live.now);
      this.data.session = live.session;
      for (const message of live.events) this.take(message);
      this.id = live.id;
      this.error.value = "";
      this.follow();
    } catch (cause) {
      this.failed(cause);
    } finally {
      this.loading = false;
      if (this.askAgain) {
        this.askAgain = false;
        this.close();
        void this.load();
      }
    }
  }

  private failed(cause: unknown): void {
    this.stream?.close();
    this.stream = null;
    this.streamFailed = -Infinity; // the server is away, not the stream alone
    const refused = cause instanceof ApiError && cause.status === 401;
    this.state.value = refused ? "refused" : "offline";
    this.error.value = cause instanceof Error ? cause.message : String(cause);
    this.later(2 * POLL_MS, () => void (this.id ? this.poll() : this.load()));
  }

  /** Opens the stream, or polls on while the stream failed a moment ago. */
  private follow(): void {
    if (!this.running || document.hidden || this.stream) return;
    if (performance.now() - this.streamFailed < STREAM_RETRY_MS) {
      this.state.value = "polling";
      this.later(POLL_MS, () => void this.poll());
      return;
    }
    const stream = new EventSource(`/api/stream?since=${encodeURIComponent(this.id)}`);
    this.stream = stream;
    this.opened = performance.now();
    this.heard = performance.now();
    for (const name of MESSAGE_NAMES) {
      stream.addEventListener(name, (e) => this.receive(stream, { event: name, data: JSON.parse(e.data) } as Message, e.lastEventId));
    }
    stream.addEventListener("reset", () => this.reload(stream));
    stream.addEventListener("lagged", () => this.reload(stream));
    stream.addEventListener("error", () => this.lost(stream));
    this.watch(stream);
  }

  private receive(stream: EventSource, message: Message, id: string): void {
    if (stream !== this.stream) return;
    this.heard = performance.now();
    this.state.value = "live";
    if (id) this.id = id;
    this.take(message);
  }

  private take(message: Message): void {
    if (message.event === "status") this.clock.hear(message.data.now);
    this.data.apply(message);
  }

  private reload(stream: EventSource): void {
    if (stream !== this.stream) return;
    this.close();
    void this.load();
  }

  /** The stream broke: polling takes over, and finds out whether the server is there at all. */
  private lost(stream: EventSource): void {
    if (stream !== this.stream) return;
    this.close();
    // A stream that had lived is opened again at once; one that never came through is not, for a while.
    if (performance.now() - this.opened < STREAM_LIVED_MS) this.streamFailed = performance.now();
    void this.poll();
  }

  private watch(stream: EventSource): void {
    this.later(1_000, () => {
      if (stream !== this.stream) return;
      if (performance.now() - this.heard > SILENCE_MS) this.lost(stream);
      else this.watch(stream);
    });
  }
}
