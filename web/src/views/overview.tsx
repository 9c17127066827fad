import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { beat } from "../charts/frame.ts";
import type { Line } from "../charts/line.ts";
import { TimeChart } from "../charts/timechart.tsx";
import type { Table } from "../data/csv.ts";
import { isoTime } from "../data/csv.ts";
import { OverviewMaker, type Overview as Figures } from "../data/overview.ts";
import type { Scope } from "../data/scope.ts";
import { useTable } from "../ui/download.ts";
import { count, joules, num, pairLabel } from "../ui/format.ts";
import { Card, Panel, latencyTone } from "../ui/parts.tsx";
import { Bars, ScatterPlot } from "./distributions.tsx";
import { NoPairs } from "./missing.tsx";
import { systemLine } from "./rails.ts";

export function latencyLine(scope: Scope): Line {
  return { id: "lat", label: "Latency", unit: "ms", color: "--latency", axis: 0, ring: () => scope.track()?.rows, means: () => scope.track()?.means, column: "lat_ms", digits: 2 };
}

/** What the frames cost, in time and in energy. */
export function Overview({ scope }: { scope: Scope }): JSX.Element {
  const maker = useMemo(() => new OverviewMaker(), [scope]);
  const now = beat.value >> 1;
  const { held, summary, pair, loaded } = scope;
  const figures = useMemo(() => maker.make(scope), [maker, now, held.value, summary.value, pair.value, loaded.value]);
  useTable(() => pairTable(scope));
  const board = scope.data.power.size > 0;
  const lines = useMemo(() => (board ? [latencyLine(scope), systemLine(scope, 1)] : [latencyLine(scope)]), [scope, board]);
  return (
    <>
      <Cards scope={scope} figures={figures} />
      {scope.pairNames().length === 0 && <NoPairs />}
      <TimeChart title={board ? "Latency and power" : "Latency"} scope={scope} lines={lines} floor={[0]} marks tall note={pairLabel(scope.pairName())} />
      <div class="row three">
        <ScatterPlot scope={scope} corr={figures.corr} />
        <Bars figures={figures} still={!scope.live || held.value !== null} />
        <Frames figures={figures} />
      </div>
    </>
  );
}

function Cards({ scope, figures }: { scope: Scope; figures: Figures }): JSX.Element {
  const { latency: l, trend } = figures;
  const following = scope.live && scope.held.value === null;
  const ms = (label: string, id: string, value: number, line: ArrayLike<number>): JSX.Element => (
    <Card id={id} label={label} value={num(value, 2)} unit="ms" tone={latencyTone(value)} trend={line} />
  );
  return (
    <div class="cards eight">
      {ms(following ? "Latency now" : "Latency, last", "current", figures.current_ms, trend.current)}
      {ms("Mean", "mean", l.mean, trend.mean)}
      {ms("Minimum", "min", l.min, trend.min)}
      {ms("Maximum", "max", l.max, trend.max)}
      {ms("p95", "p95", l.p95, trend.p95)}
      {ms("p99", "p99", l.p99, trend.p99)}
      <Card id="power" label={following ? "Power now" : "Power, last"} value={num(figures.current_w, 1)} unit="W" trend={trend.power} color="--power" />
      <Card id="power-mean" label="Mean power" value={num(figures.mean_w, 1)} unit="W" trend={trend.power} color="--power" />
    </div>
  );
}

function Frames({ figures }: { figures: Figures }): JSX.Element {
  const { ambiguous, dropped, latency, trend } = figures;
  const all = latency.count + dropped + ambiguous;
  const energy = joules(figures.j_per_frame);
  return (
    <Panel title="Frames" note="in view">
      <div class="cards stack">
        <Card id="dropped" label="Dropped" value={count(dropped)} unit={all ? `of ${count(all)} · ${num((100 * dropped) / all, 2)} %` : "frames"} trend={trend.dropped} color="--bad" bars hint="Frames that entered the first stage and never reached the second" />
        {ambiguous > 0 && <Card id="ambiguous" label="Not told" value={count(ambiguous)} unit={`of ${count(all)} · ${num((100 * ambiguous) / all, 2)} %`} color="--warn" hint="Frames of which timing cannot tell whether, and when, they reached the second stage: no latency is told, and no drop" />}
        <Card id="j-per-frame" label="Energy a frame" value={energy.value} unit={`${energy.unit}/frame`} trend={trend.energy.length ? trend.energy : undefined} color="--power" hint="Mean energy of the system between the two stages" />
        <Card id="ms-per-w" label="Latency a watt" value={num(figures.ms_per_w, 4)} unit="ms/W" hint="Mean latency over mean power of the pairs" />
      </div>
    </Panel>
  );
}

/** The pairs in view, as a table. */
export function pairTable(scope: Scope): Table {
  const track = scope.track();
  const { from, to } = scope.range();
  const id = scope.data.session?.id ?? "bl";
  const header = ["time_utc", "t_ms", "pair", "frame", "lat_ms", "power_w", "energy_j", "dropped"];
  function* rows(): Generator<(string | number | boolean | null)[]> {
    if (!track) return;
    const { rows: r, drops: d } = track;
    const col = (name: string, i: number): number => r.cols.get(name)?.[i] ?? NaN;
    let k = d.lower(from);
    const drop = (): (string | number | boolean)[] => [isoTime(d.t[k]), d.t[k], track.name, d.cols.get("frame")?.[k] ?? NaN, NaN, NaN, NaN, true];
    for (let i = r.lower(from); i < r.lower(to); i++) {
      for (; k < d.end && d.t[k] < r.t[i]; k++) yield drop();
      yield [isoTime(r.t[i]), r.t[i], track.name, col("frame", i), col("lat_ms", i), col("power_w", i), col("energy_j", i), false];
    }
    for (; k < d.end && d.t[k] < to; k++) yield drop();
  }
  return { name: `${id}-pairs${scope.data.exact ? "" : "-thinned"}`, header, rows: rows() };
}
