import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { TimeChart } from "../charts/timechart.tsx";
import { PastSession } from "../data/past.ts";
import type { Session, Summary } from "../data/wire.ts";
import { useTable } from "../ui/download.ts";
import { NONE, count, date, duration, num, pairLabel, signed } from "../ui/format.ts";
import { Empty, Panel } from "../ui/parts.tsx";
import { href } from "../ui/router.ts";
import { latencyLine } from "./overview.tsx";
import { railLine, railsOf, systemLine } from "./rails.ts";

interface Figure {
  id: string;
  label: string;
  unit: string;
  digits: number;
  /** Whether less is better; null where neither is. */
  less: boolean | null;
  /** A change of it in percent says nothing. */
  absolute?: boolean;
  of: (s: Summary) => number | null;
}

const share = (part: number, rest: number): number | null => (part + rest ? (100 * part) / (part + rest) : null);

const FIGURES: Figure[] = [
  { id: "mean", label: "Mean latency", unit: "ms", digits: 2, less: true, of: (s) => s.latency.mean_ms },
  { id: "p50", label: "Median", unit: "ms", digits: 2, less: true, of: (s) => s.latency.p50_ms },
  { id: "p95", label: "p95", unit: "ms", digits: 2, less: true, of: (s) => s.latency.p95_ms },
  { id: "p99", label: "p99", unit: "ms", digits: 2, less: true, of: (s) => s.latency.p99_ms },
  { id: "max", label: "Maximum", unit: "ms", digits: 2, less: true, of: (s) => s.latency.max_ms },
  { id: "frames", label: "Frames", unit: "", digits: 0, less: null, of: (s) => s.latency.count },
  { id: "dropped", label: "Dropped", unit: "%", digits: 2, less: true, of: (s) => share(s.latency.dropped, s.latency.count) },
  { id: "power", label: "Mean power", unit: "W", digits: 1, less: true, of: (s) => s.power.mean_w },
  { id: "peak", label: "Peak power", unit: "W", digits: 1, less: true, of: (s) => s.power.max_w },
  { id: "j-frame", label: "Energy a frame", unit: "J", digits: 3, less: true, of: (s) => s.efficiency.j_per_frame },
  { id: "ms-w", label: "Latency a watt", unit: "ms/W", digits: 4, less: null, of: (s) => s.efficiency.ms_per_w },
  { id: "corr", label: "Correlation", unit: "", digits: 3, less: null, absolute: true, of: (s) => s.efficiency.corr },
];

/** Two sessions, opened once each: swapping them loads nothing anew. */
function useSessions(a: string | null, b: string | null): [PastSession | null, PastSession | null] {
  const opened = useRef(new Map<string, PastSession>());
  const session = (id: string | null): PastSession | null => {
    if (!id) return null;
    const known = opened.current.get(id) ?? new PastSession(id);
    opened.current.set(id, known);
    return known;
  };
  const both = useMemo((): [PastSession | null, PastSession | null] => [session(a), session(b)], [a, b]);
  useEffect(() => {
    for (const [id, known] of opened.current) {
      if (id === a || id === b) void known.open();
      else {
        known.close();
        opened.current.delete(id);
      }
    }
  }, [a, b]);
  useEffect(() => () => opened.current.forEach((known) => known.close()), []);
  return both;
}

/** Two sessions side by side, on the time since each one's start. */
export function Compare({ a, b }: { a: string | null; b: string | null }): JSX.Element {
  const [left, right] = useSessions(a, b);
  // Figures stand beside each other once both are there: half a table would jump.
  const isLoading = [left, right].some((session) => session?.state.value !== "failed" && !session?.scope.summary.value);
  const [l, r] = [left, right].map((session) => (isLoading ? null : (session?.scope.summary.value ?? null)));
  useTable(() => ({
    name: `bl-compare-${a}-${b}`,
    header: ["figure", "unit", a ?? "", b ?? "", "difference"],
    rows: FIGURES.map((f) => {
      const [x, y] = [l && f.of(l), r && f.of(r)];
      return [f.label, f.unit, x, y, x !== null && y !== null ? y - x : null];
    }),
  }));
  if (!left || !right)
    return (
      <Empty title="Choose two sessions to compare">
        Mark two sessions in the <a href="#/sessions">list</a>, then press Compare.
      </Empty>
    );
  return (
    <>
      <div class="row two">
        <Head name="A" session={left} other={href("compare", { a: b, b: a })} />
        <Head name="B" session={right} />
      </div>
      <Differences a={l} b={r} />
      <div class="row two sides">
        <Side name="A" session={left} />
        <Side name="B" session={right} />
      </div>
    </>
  );
}

function Head({ name, session, other }: { name: string; session: PastSession; other?: string }): JSX.Element {
  const s: Session | null = session.scope.summary.value && session.data.session;
  const failed = session.state.value === "failed";
  return (
    <Panel title={`${name}: ${session.id}`} tools={other ? <a href={other}>Swap</a> : undefined}>
      <p class={failed ? "error" : "quiet"}>
        {failed ? session.error.value : s ? `${date(s.started)} · ${duration(s.duration_s)} · ${s.node} · ${pairLabel(session.scope.pairName())}` : "Loading …"}
      </p>
    </Panel>
  );
}

function Differences({ a, b }: { a: Summary | null; b: Summary | null }): JSX.Element {
  return (
    <Panel title="In numbers" note="B against A">
      <div class="scroll">
        <table class="numbers">
          <thead>
            <tr>
              <th>Figure</th>
              <th>A</th>
              <th>B</th>
              <th>B − A</th>
              <th>Change</th>
            </tr>
          </thead>
          <tbody>
            {FIGURES.map((f) => {
              const [x, y] = [a ? f.of(a) : null, b ? f.of(b) : null];
              const d = x !== null && y !== null ? y - x : null;
              const relative = d !== null && x && !f.absolute ? (100 * d) / Math.abs(x) : null;
              const tone = f.less === null || relative === null || Math.abs(relative) < 1 ? "" : d! < 0 === f.less ? "good" : "bad";
              return (
                <tr key={f.id}>
                  <th>
                    {f.label} <span class="unit">{f.unit}</span>
                  </th>
                  <td>{f.digits ? num(x, f.digits) : count(x)}</td>
                  <td>{f.digits ? num(y, f.digits) : count(y)}</td>
                  <td>{signed(d, f.digits)}</td>
                  <td class={tone}>{relative === null ? NONE : `${signed(relative, 1)} %`}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Side({ name, session }: { name: string; session: PastSession }): JSX.Element {
  void session.scope.loaded.value;
  const { scope } = session;
  const rails = railsOf(scope.powerRing());
  const ids = rails.map((r) => r.id).join();
  const latency = useMemo(() => [latencyLine(scope)], [scope]);
  const system = useMemo(() => [systemLine(scope)], [scope]);
  const stacked = useMemo(() => rails.map((rail) => railLine(scope, rail)), [scope, ids]);
  const linked = { scope, relative: true, sync: "compare" };
  return (
    <div class="side">
      <TimeChart title={`${name}: latency`} lines={latency} floor={[0]} marks {...linked} />
      <TimeChart title={`${name}: power`} lines={system} floor={[0]} {...linked} />
      {stacked.length > 0 && <TimeChart title={`${name}: rails`} lines={stacked} stacked floor={[0]} {...linked} />}
    </div>
  );
}
