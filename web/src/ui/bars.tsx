import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { beat } from "../charts/frame.ts";
import type { Link } from "../data/live.ts";
import type { Scope } from "../data/scope.ts";
import { download } from "./download.ts";
import { date, duration, pairLabel } from "./format.ts";
import { Icon, type IconName } from "./icons.tsx";
import { WINDOWS, usePage } from "./page.ts";
import { Choice, State, type Tone } from "./parts.tsx";
import { VIEWS, href, route, type ViewName } from "./router.ts";
import { theme, toggleTheme } from "./theme.ts";

const NAMES: Record<(typeof VIEWS)[number], string> = {
  overview: "Overview",
  power: "Power",
  thermal: "Thermal",
  host: "Host",
  device: "Device",
  sessions: "Sessions",
  flow: "Flow",
  architecture: "Architecture",
  pairing: "Pairing",
};

export function viewName(view: ViewName): string {
  return view === "compare" ? "Compare" : NAMES[view];
}

/** The list of views: a rail on the left, a bar below on a narrow page. */
export function Rail(): JSX.Element {
  const { view, session } = route.value;
  const current = view === "compare" ? "sessions" : view;
  const active = useRef<HTMLAnchorElement>(null);
  useEffect(() => active.current?.scrollIntoView({ block: "nearest", inline: "nearest" }), [current]);
  return (
    <nav class="rail" aria-label="Views">
      <a class="brand" href="#/overview" aria-label="bl, overview">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M3 20h6l3.500-11 5.500 16 4-9h7" />
        </svg>
        <span>bl</span>
      </a>
      <ul>
        {VIEWS.map((name, i) => (
          <li key={name}>
            <a ref={name === current ? active : undefined} href={href(name, { session })} aria-current={name === current ? "page" : undefined} title={`${NAMES[name]} (${i + 1})`}>
              <Icon name={name} />
              <span>{NAMES[name]}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

type Control = "pair" | "board" | "time";

/** The choices that make a difference to a view. */
const CONTROLS: Record<ViewName, Control[]> = {
  overview: ["pair", "board", "time"],
  power: ["pair", "board", "time"],
  thermal: ["board", "time"],
  host: ["time"],
  device: ["time"],
  sessions: [],
  compare: [],
  flow: [],
  architecture: [],
  pairing: ["pair", "time"],
};

/** What is shown, how it is followed, and what can be done with it. */
export function TopBar(): JSX.Element {
  const page = usePage();
  const { view } = route.value;
  const past = page.past.value;
  const scope = page.scope();
  const has = (control: Control): boolean => CONTROLS[view].includes(control);
  return (
    <header class="top">
      <h1>{viewName(view)}</h1>
      {view !== "compare" && (past ? <PastState /> : <LiveState />)}
      <span class="space" />
      {has("pair") && <Pairs scope={scope} />}
      {has("board") && <Boards scope={scope} />}
      {has("time") && <Time scope={scope} />}
      <span class="buttons">
        <Tool icon="download" label="Download as CSV (D)" disabled={page.table.value === null} onClick={() => download(page.table.peek()!())} />
        <Tool icon={theme.value === "dark" ? "sun" : "moon"} label={`${theme.value === "dark" ? "Light" : "Dark"} theme (T)`} onClick={toggleTheme} />
        <Tool icon="help" label="Keys and gestures (?)" onClick={() => (page.help.value = true)} />
      </span>
    </header>
  );
}

function Tool({ icon, label, onClick, disabled }: { icon: IconName; label: string; onClick: () => void; disabled?: boolean }): JSX.Element {
  return (
    <button type="button" class="tool" aria-label={label} title={label} onClick={onClick} disabled={disabled}>
      <Icon name={icon} />
    </button>
  );
}

const LINKS: Record<Link, [Tone | "off", string]> = {
  connecting: ["off", "Connecting"],
  live: ["good", "Live"],
  polling: ["warn", "Live, by polling"],
  offline: ["bad", "No connection"],
  refused: ["bad", "Token needed"],
};

function LiveState(): JSX.Element {
  const page = usePage();
  void beat.value;
  const session = page.data.session;
  const link = page.link.state.value;
  const held = page.live.held.value !== null;
  const connected = link === "live" || link === "polling";
  const [tone, word]: [Tone | "off", string] =
    connected && held ? ["warn", "Paused"] : connected && !session ? ["off", "Nothing is recorded"] : connected && session?.state !== "recording" ? ["off", "Ended"] : LINKS[link];
  return (
    <span class="status" role="status">
      <State tone={tone}>{word}</State>
      {session && (
        <span class="note session">
          {session.id}
          {session.simulated && " · simulated"}
        </span>
      )}
    </span>
  );
}

function PastState(): JSX.Element {
  const past = usePage().past.value!;
  const ready = past.state.value === "ready";
  const s = past.data.session;
  return (
    <span class="status">
      <a class="back" href={href(route.value.view)}>
        <Icon name="back" />
        Live
      </a>
      <State tone={past.state.value === "failed" ? "bad" : "off"}>{past.id}</State>
      {ready && s && (
        <span class="note session">
          {date(s.started)} · {duration(s.duration_s)}
          {s.simulated && " · simulated"}
        </span>
      )}
    </span>
  );
}

function Pairs({ scope }: { scope: Scope }): JSX.Element | null {
  void beat.value;
  const names = scope.pairNames();
  if (names.length < 2) return null;
  return (
    <select aria-label="Pair of stages" value={scope.pairName() ?? ""} onChange={(e) => (scope.pair.value = e.currentTarget.value)}>
      {names.map((name) => (
        <option key={name} value={name}>
          {pairLabel(name)}
        </option>
      ))}
    </select>
  );
}

function Boards({ scope }: { scope: Scope }): JSX.Element | null {
  void beat.value;
  const uids = scope.live ? [...scope.data.power.keys()] : (scope.data.session?.devices ?? []);
  if (uids.length < 2) return null;
  const name = (uid: string): string => scope.data.status?.devices.find((d) => d.uid === uid)?.name ?? `…${uid.slice(-6)}`;
  return (
    <select aria-label="Board" value={scope.deviceName() ?? ""} onChange={(e) => (scope.device.value = e.currentTarget.value)}>
      {uids.map((uid) => (
        <option key={uid} value={uid}>
          {name(uid)}
        </option>
      ))}
    </select>
  );
}

const WINDOW_LABELS = WINDOWS.map((s) => [s, s < 60 ? `${s} s` : `${s / 60} min`] as const);

function Time({ scope }: { scope: Scope }): JSX.Element {
  const page = usePage();
  const held = scope.held.value;
  if (!scope.live)
    return (
      <button type="button" class="wide" disabled={held === null} onClick={() => scope.release()}>
        Whole session
      </button>
    );
  return (
    <>
      <Choice label="Window" value={page.window_s.value} options={WINDOW_LABELS} onChange={(s) => page.setWindow(s)} />
      <button type="button" class="pause" aria-pressed={held !== null} title={held ? "Go on (Space)" : "Pause (Space)"} onClick={() => page.togglePause()}>
        <Icon name={held ? "play" : "pause"} />
        <span>{held ? "Go on" : "Pause"}</span>
      </button>
    </>
  );
}
