import { signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Table } from "../data/csv.ts";
import { Dataset } from "../data/dataset.ts";
import { LiveLink } from "../data/live.ts";
import { PastSession } from "../data/past.ts";
import { Scope } from "../data/scope.ts";
import { recall, remember } from "./theme.ts";

/** Lengths of the window that can be chosen, in seconds. */
export const WINDOWS = [30, 60, 300, 900] as const;
const WINDOW_KEY = "bl.window_s";

/** The view ends so far behind the server's clock: about the time that a sample needs to get here. */
const EDGE_DELAY_MS = 350;

/** What all views share: the live data and its link, the past session that is open, the window, what can be downloaded. */
export class Page {
  readonly window_s = signal<number>(storedWindow());
  readonly data = new Dataset();
  readonly link = new LiveLink(this.data, this.window_s.peek());
  readonly live = new Scope(
    this.data,
    true,
    () => (this.link.state.peek() === "offline" ? NaN : this.link.clock.now() - EDGE_DELAY_MS),
    () => this.window_s.value * 1000,
  );
  readonly past = signal<PastSession | null>(null);
  /** Makes the table of what the view shows; null where there is nothing to download. */
  readonly table = signal<(() => Table) | null>(null);
  readonly help = signal(false);

  setWindow(seconds: number): void {
    this.window_s.value = seconds;
    remember(WINDOW_KEY, String(seconds));
    this.live.release();
    this.link.reach(seconds);
  }

  /** Opens a past session in place of the live one, or goes back to that. */
  openSession(id: string | null): void {
    if (id === (this.past.peek()?.id ?? null)) return;
    this.past.peek()?.close();
    const next = id === null ? null : new PastSession(id);
    this.past.value = next;
    void next?.open();
  }

  /** The scope that the views show. */
  scope(): Scope {
    return this.past.value?.scope ?? this.live;
  }

  /** Pauses where it runs, runs where it is held. */
  togglePause(): void {
    const scope = this.scope();
    if (scope.held.value) scope.release();
    else if (scope.live) scope.hold(scope.range());
  }
}

function storedWindow(): number {
  const stored = Number(recall(WINDOW_KEY));
  return (WINDOWS as readonly number[]).includes(stored) ? stored : 60;
}

export const PageContext = createContext<Page | null>(null);

export function usePage(): Page {
  const page = useContext(PageContext);
  if (!page) throw new Error("no PageContext above");
  return page;
}
