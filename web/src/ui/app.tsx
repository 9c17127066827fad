import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { beat, onFrame } from "../charts/frame.ts";
import type { Scope } from "../data/scope.ts";
import { Architecture } from "../views/architecture.tsx";
import { Compare } from "../views/compare.tsx";
import { Device } from "../views/device.tsx";
import { Flow } from "../views/flow.tsx";
import { Host } from "../views/host.tsx";
import { NoSession } from "../views/missing.tsx";
import { Overview } from "../views/overview.tsx";
import { Pairing } from "../views/pairing.tsx";
import { Power } from "../views/power.tsx";
import { Sessions } from "../views/sessions.tsx";
import { Thermal } from "../views/thermal.tsx";
import { Rail, TopBar, viewName } from "./bars.tsx";
import { Help } from "./help.tsx";
import { useKeys } from "./keys.ts";
import { PageContext, usePage, type Page } from "./page.ts";
import { Empty } from "./parts.tsx";
import { route, type ViewName } from "./router.ts";

type Scoped = (props: { scope: Scope }) => JSX.Element;

/** Views of one session, live or past. */
const SCOPED: Partial<Record<ViewName, Scoped>> = {
  overview: Overview,
  power: Power,
  thermal: Thermal,
  host: Host,
  device: Device,
  flow: Flow,
  pairing: Pairing,
};

export function App({ page }: { page: Page }): JSX.Element {
  const { view, session } = route.value;
  useKeys(page);
  useEffect(() => {
    page.link.start();
    const off = onFrame(() => undefined); // the beat goes on in views without a chart
    return () => {
      off();
      page.link.stop();
    };
  }, [page]);
  useEffect(() => page.openSession(session), [page, session]);
  useEffect(() => {
    document.title = `${viewName(view)} · bl`;
  }, [view]);
  return (
    <PageContext.Provider value={page}>
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById("main")?.focus())}>
        Skip to the view
      </a>
      <div class="shell">
        <Rail />
        <div class="body">
          <TopBar />
          <Notice />
          <main id="main" tabIndex={-1} class={view}>
            <View />
          </main>
        </div>
      </div>
      <Help />
    </PageContext.Provider>
  );
}

/** What is wrong with the connection, and what to do. It covers no data: what is there stays in view. */
function Notice(): JSX.Element | null {
  const { link } = usePage();
  const state = link.state.value;
  if (state === "refused")
    return (
      <p class="notice" role="alert">
        This server asks for a token. Open the page once as <code>/?token=…</code> with the token of its <code>token_file</code>.
      </p>
    );
  if (state !== "offline") return null;
  return (
    <p class="notice" role="alert">
      {link.error.value} What is shown is as old as its time says.{" "}
      <button type="button" onClick={() => link.retry()}>
        Try again
      </button>
    </p>
  );
}

function View(): JSX.Element {
  const page = usePage();
  void beat.value;
  const { view, session, a, b } = route.value;
  if (view === "sessions") return <Sessions />;
  if (view === "compare") return <Compare a={a} b={b} />;
  const past = page.past.value;
  const scope = page.scope();
  if (view === "architecture") return <Architecture scope={page.live} />;
  if (session !== null) {
    if (past?.id !== session || past.state.value === "loading") return <p class="loading">Loading {session} …</p>;
    if (past.state.value === "failed")
      return (
        <Empty title={`Session ${session} cannot be shown`} command="bl sessions">
          {past.error.value} The sessions that there are, are in the <a href="#/sessions">list</a>.
        </Empty>
      );
  } else if (!page.data.session) {
    return page.link.state.value === "connecting" ? <p class="loading">Connecting …</p> : page.link.state.value === "offline" ? <Away /> : <NoSession />;
  }
  const Shown = SCOPED[view]!;
  return <Shown key={scope.id} scope={scope} />;
}

function Away(): JSX.Element {
  return (
    <Empty title="The server does not answer" command="bl serve">
      Start it on the machine that holds the recordings; this page tries again by itself.
    </Empty>
  );
}
