import { signal } from "@preact/signals";

/** The views in the order of the rail; their keys are 1 to 9. */
export const VIEWS = ["overview", "power", "thermal", "host", "device", "sessions", "flow", "architecture", "pairing"] as const;
export type ViewName = (typeof VIEWS)[number] | "compare";

/** Where the page is: a view, and of which session (null: what is recorded now). */
export interface Route {
  view: ViewName;
  session: string | null;
  /** The two sessions of the view `compare`. */
  a: string | null;
  b: string | null;
}

export function parse(hash: string): Route {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const known = ([...VIEWS, "compare"] as string[]).includes(path);
  const params = new URLSearchParams(query ?? "");
  return {
    view: known ? (path as ViewName) : "overview",
    session: params.get("session"),
    a: params.get("a"),
    b: params.get("b"),
  };
}

export function href(view: ViewName, params: Partial<Omit<Route, "view">> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value) query.set(name, value);
  const text = query.toString();
  return `#/${view}${text ? `?${text}` : ""}`;
}

export const route = signal<Route>(parse(location.hash));

addEventListener("hashchange", () => {
  route.value = parse(location.hash);
});

export function go(view: ViewName, params: Partial<Omit<Route, "view">> = {}): void {
  location.hash = href(view, params);
}
