import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { beat } from "../charts/frame.ts";
import { useDrawing } from "../charts/host.ts";
import { Lanes } from "../charts/lanes.ts";
import { isoTime, type Table } from "../data/csv.ts";
import { PAIRING_SPAN_MS, outcomes, type Outcome } from "../data/outcomes.ts";
import type { Scope } from "../data/scope.ts";
import { useTable } from "../ui/download.ts";
import { NONE, count, num, pairLabel, time } from "../ui/format.ts";
import { Card, Empty, Panel, State, latencyTone } from "../ui/parts.tsx";
import { NoPairs } from "./missing.tsx";

/** Rows of the list; it does not grow, so that nothing below it moves. */
const LISTED = 24;

/** What was paired and dropped in the last two seconds, event by event. */
export function Pairing({ scope }: { scope: Scope }): JSX.Element {
  void beat.value;
  const { to } = scope.range();
  const all = outcomes(scope, to);
  useTable(() => outcomeTable(scope, all));
  const pair = scope.pairName();
  const ref = useDrawing(`${scope.id} ${pair}`, (host) => new Lanes(host, scope));
  if (!pair) return <NoPairs />;
  const of = (state: Outcome["state"]): number => all.filter((o) => o.state === state).length;
  return (
    <>
      <div class="cards four">
        <Card id="paired" label="Paired" value={count(of("paired"))} unit="in 2 s" />
        <Card id="dropped" label="Dropped" value={count(of("dropped"))} unit="in 2 s" />
        <Card id="open" label="Waiting" value={count(of("open"))} unit="now" hint="Frames that entered the first stage and were neither paired nor given up yet" />
        <Card id="rate" label="Rate" value={num(of("paired") / (PAIRING_SPAN_MS / 1000), 1)} unit="pairs/s" />
      </div>
      <Panel title="Events" note={`${pairLabel(pair)}, 2 seconds`}>
        <div class="plot lanes" ref={ref} role="img" aria-label={`Stage events of the last two seconds: ${of("paired")} paired, ${of("dropped")} dropped, ${of("open")} waiting`} />
        <ul class="legend">
          <li>
            <State tone="plain">paired</State>
          </li>
          <li>
            <State tone="bad">dropped</State>
          </li>
          <li>
            <State tone="warn">waiting</State>
          </li>
        </ul>
      </Panel>
      <List all={all} pair={pair} scope={scope} />
    </>
  );
}

function List({ all, pair, scope }: { all: Outcome[]; pair: string; scope: Scope }): JSX.Element {
  const [a, b] = pair.split(",");
  const rows = useMemo(() => all.slice(-LISTED).reverse(), [all]);
  return (
    <Panel title="Event by event" note={scope.live ? "newest first; pause to read" : "newest first"}>
      {rows.length === 0 && scope.live ? (
        <Empty title="No stage events in the last two seconds">The pipeline is silent, or its stages have other names than this pair.</Empty>
      ) : (
        <div class="scroll">
          <table class="numbers events">
            <thead>
              <tr>
                <th>Frame</th>
                <th>{a}</th>
                <th class="second">{b}</th>
                <th>Latency, ms</th>
                <th>Outcome</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((o, i) => (
                <tr key={i}>
                  <th>{Number.isNaN(o.frame) ? NONE : o.frame}</th>
                  <td>{time(o.a, true)}</td>
                  <td class="second">{Number.isNaN(o.b) ? NONE : time(o.b, true)}</td>
                  <td class={latencyTone(o.b - o.a)}>{num(o.b - o.a, 3)}</td>
                  <td>
                    <State tone={o.state === "paired" ? "good" : o.state === "dropped" ? "bad" : "warn"}>{o.state === "open" ? "waiting" : o.state}</State>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function outcomeTable(scope: Scope, all: Outcome[]): Table {
  const rows = all.map((o) => [scope.pairName(), o.frame, isoTime(o.a), Number.isNaN(o.b) ? null : isoTime(o.b), o.b - o.a, o.state === "open" ? "waiting" : o.state]);
  return { name: `${scope.data.session?.id ?? "bl"}-pairing`, header: ["pair", "frame", "stage_a_utc", "stage_b_utc", "lat_ms", "outcome"], rows };
}
