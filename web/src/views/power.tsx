import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { beat } from "../charts/frame.ts";
import { TimeChart } from "../charts/timechart.tsx";
import { isoTime, type Table } from "../data/csv.ts";
import { mean, newest, perFrame } from "../data/overview.ts";
import type { Scope } from "../data/scope.ts";
import { greatest, integral } from "../data/stats.ts";
import { useTable } from "../ui/download.ts";
import { joules, num, time } from "../ui/format.ts";
import { Card, Choice, Panel } from "../ui/parts.tsx";
import { recall, remember } from "../ui/theme.ts";
import { NoBoard } from "./missing.tsx";
import { GROUPS, RAILS, boardChannel, groupLine, railLine, railsOf, systemLine } from "./rails.ts";
import type { Line } from "../charts/line.ts";

const MODE_KEY = "bl.power";
const MODES = [
  ["stacked", "Stacked"],
  ["single", "Single"],
  ["split", "CPU / GPU / board"],
] as const;
type Mode = (typeof MODES)[number][0];

/** Where the watts go. */
export function Power({ scope }: { scope: Scope }): JSX.Element {
  void beat.value;
  const [mode, setMode] = useState<Mode>(() => (MODES.find(([m]) => m === recall(MODE_KEY)) ?? MODES[0])[0]);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const rails = railsOf(scope.powerRing());
  const shown = rails.filter((r) => !hidden.has(r.id));
  useTable(() => powerTable(scope));
  const names = shown.map((r) => r.id).join();
  const lines = useMemo((): Line[] => {
    if (mode === "split") return GROUPS.map((g) => groupLine(scope, g));
    const each = shown.map((r) => railLine(scope, r));
    return mode === "single" ? [systemLine(scope), ...each] : each;
  }, [scope, mode, names]);
  if (scope.data.power.size === 0) return <NoBoard />;
  const toggle = (id: string): void => {
    const next = new Set(hidden);
    if (!next.delete(id)) next.add(id);
    setHidden(next);
  };
  return (
    <>
      <Totals scope={scope} />
      <TimeChart title="Rails" scope={scope} lines={lines} stacked={mode !== "single"} floor={[0]} marks tall>
        <Choice label="How rails are drawn" value={mode} options={MODES} onChange={(m) => (setMode(m), remember(MODE_KEY, m))} />
      </TimeChart>
      <div class="row power">
        <RailTable scope={scope} hidden={hidden} toggle={toggle} />
        <Split scope={scope} />
      </div>
    </>
  );
}

function Totals({ scope }: { scope: Scope }): JSX.Element {
  const { from, to } = scope.range();
  const ring = scope.powerRing();
  const s = scope.summary.value;
  const own = scope.data.status?.devices.find((d) => d.uid === scope.deviceName())?.energy;
  const since = scope.live ? own?.sys_j : s?.power.energy_j;
  const peak = scope.live ? { w: own?.peak_w, t: own?.peak_t } : { w: s?.power.max_w, t: s?.power.max_t };
  const energy = joules(since);
  const inView = joules(scope.live ? integral(ring, "sys_w", from, to) : s?.power.energy_j);
  const meanW = scope.live ? mean(ring, "sys_w", from, to) : s?.power.mean_w;
  const perWatt = scope.live ? perFrame(scope.track()?.rows, from, to).ms_per_w : s?.efficiency.ms_per_w;
  return (
    <div class="cards six">
      <Card id="power" label={scope.live && !scope.held.value ? "Power now" : "Power, last"} value={num(newest(ring, "sys_w", from, to), 1)} unit="W" />
      <Card id="power-mean" label="Mean in view" value={num(meanW, 1)} unit="W" />
      <Card id="peak" label="Peak" value={num(peak.w, 1)} unit={`W · ${time(peak.t)}`} />
      <Card id="energy" label={scope.live ? "Energy since start" : "Energy"} value={energy.value} unit={energy.unit} hint={since != null ? `${num(since / 3600, 3)} Wh` : ""} />
      <Card id="energy-view" label="Energy in view" value={inView.value} unit={inView.unit} />
      <Card id="ms-per-w" label="Latency a watt" value={num(perWatt, 4)} unit="ms/W" />
    </div>
  );
}

interface RailTableProps {
  scope: Scope;
  hidden: ReadonlySet<string>;
  toggle: (id: string) => void;
}

function RailTable({ scope, hidden, toggle }: RailTableProps): JSX.Element {
  const { from, to } = scope.range();
  const ring = scope.powerRing();
  const slow = boardChannel(scope)?.ring;
  const sys = newest(ring, "sys_w", from, to);
  const exact = scope.summary.value?.power.rails;
  return (
    <Panel title="Each rail" class="wide">
      <div class="scroll">
        <table class="numbers">
          <thead>
            <tr>
              <th>Rail</th>
              <th>V</th>
              <th>A</th>
              <th>W</th>
              <th>Mean W</th>
              <th>Peak W</th>
              <th class="share">Share</th>
            </tr>
          </thead>
          <tbody>
            {railsOf(ring).map((rail) => {
              const w = newest(ring, `${rail.id}_w`, from, to);
              return (
                <tr key={rail.id} class={hidden.has(rail.id) ? "off" : ""}>
                  <th>
                    <button type="button" class="key" aria-pressed={!hidden.has(rail.id)} onClick={() => toggle(rail.id)}>
                      <i class="swatch" style={{ background: `var(--rail-${rail.id})` }} />
                      {rail.label}
                    </button>
                  </th>
                  <td>{num(newest(slow, `${rail.id}_v`, from, to), 2)}</td>
                  <td>{num(newest(slow, `${rail.id}_a`, from, to), 2)}</td>
                  <td>{num(w, 1)}</td>
                  <td>{num(exact ? exact[rail.id]?.mean_w : mean(ring, `${rail.id}_w`, from, to), 1)}</td>
                  <td>{num(exact ? exact[rail.id]?.max_w : greatest(ring, `${rail.id}_w`, from, to), 1)}</td>
                  <td class="share">
                    <meter min={0} max={1} value={w / sys || 0} aria-label={`${rail.label} share`} />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Split({ scope }: { scope: Scope }): JSX.Element {
  const { from, to } = scope.range();
  const ring = scope.powerRing();
  const s = scope.summary.value?.power;
  const energy = scope.data.status?.devices.find((d) => d.uid === scope.deviceName())?.energy;
  const all = mean(ring, "sys_w", from, to);
  return (
    <Panel title="CPU, GPU, board" note="mean in view">
      <ul class="split">
        {GROUPS.map(({ id, label }) => {
          const w = scope.live ? mean(ring, `${id}_w`, from, to) : (s?.[`${id}_w`] ?? NaN);
          const j = joules(scope.live ? energy?.[`${id}_j`] : s?.[`${id}_j`]);
          return (
            <li key={id}>
              <span class="name">
                <i class="swatch" style={{ background: `var(--${id})` }} />
                {label}
              </span>
              <span class="figure">
                <b>{num(w, 1)}</b> <span class="unit">W</span>
              </span>
              <span class="bar">
                <i style={{ width: `${Math.min(100, (100 * w) / all) || 0}%`, background: `var(--${id})` }} />
              </span>
              <span class="note">
                {num((100 * w) / all, 1)} % · {j.value} {j.unit}
                {scope.live ? " since start" : ""}
              </span>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

/** The samples in view of the board, every rail. */
function powerTable(scope: Scope): Table {
  const ring = scope.powerRing();
  const { from, to } = scope.range();
  const order = ["sys_w", ...GROUPS.map((g) => `${g.id}_w`), ...RAILS.map((r) => `${r.id}_w`)];
  const names = order.filter((name) => ring?.cols.has(name));
  function* rows(): Generator<(string | number)[]> {
    if (!ring) return;
    const cols = names.map((n) => ring.cols.get(n)!);
    for (let i = ring.lower(from); i < ring.lower(to); i++) yield [isoTime(ring.t[i]), ring.t[i], ...cols.map((c) => c[i])];
  }
  return { name: `${scope.data.session?.id ?? "bl"}-power${scope.data.exact ? "" : "-thinned"}`, header: ["time_utc", "t_ms", ...names], rows: rows() };
}
