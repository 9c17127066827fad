import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { beat } from "../charts/frame.ts";
import { getJson } from "../data/api.ts";
import type { Scope } from "../data/scope.ts";
import type { Status } from "../data/wire.ts";
import { useTable } from "../ui/download.ts";
import { NONE, bytes, count, duration, num, pairLabel, text, time } from "../ui/format.ts";
import { Empty, Facts, Panel, State } from "../ui/parts.tsx";
import { BOX, heightOf, narrow, wide, type Placed } from "./diagram.ts";

const NARROW = matchMedia("(max-width: 760px)");

function useNarrow(): boolean {
  const [is, set] = useState(NARROW.matches);
  useEffect(() => {
    const change = (): void => set(NARROW.matches);
    NARROW.addEventListener("change", change);
    return () => NARROW.removeEventListener("change", change);
  }, []);
  return is;
}

/** The way of the data from the boards to the exporters, with what flows now. */
export function Architecture({ scope }: { scope: Scope }): JSX.Element {
  void beat.value;
  const small = useNarrow();
  const [asked, setAsked] = useState<Status | null>(null);
  useEffect(() => {
    // Of use only before the stream's first status; an error of it is the link's to show.
    getJson<Status>("/api/status").then(setAsked, () => undefined);
  }, []);
  const status = scope.data.status ?? asked;
  useTable(() => ({
    name: "bl-sources",
    header: ["source", "state", "rate_hz", "rows", "lost", "last_ms", "detail"],
    rows: (status?.sources ?? []).map((s) => [s.name, s.state, s.rate_hz, s.rows, s.lost, s.last, s.detail]),
  }));
  if (!status)
    return (
      <Empty title="No status yet" command="bl serve">
        The server has not said yet what runs.
      </Empty>
    );
  const { nodes, edges, titles, width, height } = small ? narrow(status) : wide(status);
  const alt = `Data flows from ${count(status.devices.length)} boards and ${count(status.sources.length)} sources through the store and ${count(status.alignment.length)} pairs to ${count(status.exporters.length)} exporters.`;
  return (
    <>
      <Panel title="Way of the data" note={`bl ${status.version}${status.node ? ` on ${status.node}` : ""}`}>
        <svg class="diagram" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={alt}>
          {titles.map((t) => (
            <text key={t.text} class="column" x={t.x} y={t.y}>
              {t.text}
            </text>
          ))}
          {edges.map((e) => (
            <path key={e.id} class={`edge ${e.tone}`} d={e.path} />
          ))}
          {nodes.map((n) => (
            <Box key={n.id} node={n} />
          ))}
        </svg>
      </Panel>
      <div class="row two">
        <Sources status={status} />
        <Rest status={status} />
      </div>
    </>
  );
}

/** A text that fits into a box. */
function fit(value: string, most: number): string {
  return value.length > most ? `${value.slice(0, most - 1)}…` : value;
}

function Box({ node: n }: { node: Placed }): JSX.Element {
  return (
    <g class={`box ${n.tone}`} transform={`translate(${n.x} ${n.y})`}>
      <title>{[n.title, ...n.lines].join("\n")}</title>
      <rect width={BOX.width} height={heightOf(n)} rx="6" />
      <circle cx="16" cy="19" r="4" />
      <text class="title" x="28" y="23">
        {fit(n.title, 22)}
      </text>
      {n.lines.map((line, i) => (
        <text key={i} class="line" x="28" y={40 + 16 * i}>
          {fit(line, 26)}
        </text>
      ))}
    </g>
  );
}

const TONES = { up: "good", starting: "plain", waiting: "warn", stale: "bad", ended: "off" } as const;

function Sources({ status }: { status: Status }): JSX.Element {
  return (
    <Panel title="Sources">
      {status.sources.length === 0 ? (
        <p class="quiet">
          No source delivers: nothing is being recorded. Start <code>bl ingest</code>.
        </p>
      ) : (
        <div class="scroll">
          <table class="numbers text">
            <thead>
              <tr>
                <th>Source</th>
                <th>State</th>
                <th class="n">Rows/s</th>
                <th class="n last">Rows</th>
                <th class="n">Lost</th>
                <th class="last">Last row</th>
              </tr>
            </thead>
            <tbody>
              {status.sources.map((s) => (
                <tr key={s.name}>
                  <th>
                    <code>{s.name}</code>
                    {s.detail && <span class="note block">{s.detail}</span>}
                  </th>
                  <td>
                    <State tone={TONES[s.state] ?? "plain"}>{s.state}</State>
                  </td>
                  <td class="n">{num(s.rate_hz, 1)}</td>
                  <td class="n last">{count(s.rows)}</td>
                  <td class="n">{count(s.lost)}</td>
                  <td class="nowrap last">{time(s.last)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Rest({ status }: { status: Status }): JSX.Element {
  const { store } = status;
  return (
    <Panel title="Store, alignment, exporters">
      <Facts
        rows={[
          ...(store
            ? ([
                ["Data root", store.data_root ? <code>{store.data_root}</code> : NONE],
                ["State", <State tone={store.state === "ok" ? "good" : "bad"}>{store.detail || store.state}</State>],
                ["Sessions", count(store.sessions)],
                ["Sealed / open", `${text(bytes(store.sealed_bytes))} / ${text(bytes(store.open_bytes))}`],
                ["Disk free", text(bytes(store.free_bytes))],
              ] as [string, JSX.Element | string][])
            : []),
          ...status.alignment.map((a): [string, JSX.Element] => [
            pairLabel(a.pair),
            <>
              {count(a.open)} waiting · decided after {num(a.delay_ms, 0)} ms
              {a.sensor_lag_ms !== null && ` · power lags ${num(a.sensor_lag_ms, 1)} ms (confidence ${num(a.lag_confidence, 2)})`}
            </>,
          ]),
          ...status.exporters.map((e): [string, JSX.Element] => [
            e.name,
            <State tone={e.state === "up" ? "good" : e.state === "error" ? "bad" : "off"}>
              {e.state}
              {e.detail && ` · ${e.detail}`}
              {e.address && ` · ${e.address}`}
            </State>,
          ]),
          ["Server runs since", status.started === null ? NONE : duration((status.now - status.started) / 1000)],
        ]}
      />
    </Panel>
  );
}
