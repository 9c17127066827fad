import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { beat } from "../charts/frame.ts";
import { getJson } from "../data/api.ts";
import type { Session, SessionPage } from "../data/wire.ts";
import { useTable } from "../ui/download.ts";
import { bytes, count, date, duration, text } from "../ui/format.ts";
import { usePage } from "../ui/page.ts";
import { Empty, Panel, State } from "../ui/parts.tsx";
import { go, href } from "../ui/router.ts";

const PAGE = 200;

/** Everything that was recorded. */
export function Sessions(): JSX.Element {
  const [sessions, setSessions] = useState<Session[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState("");
  const [search, setSearch] = useState("");
  const [marked, setMarked] = useState<string[]>([]);
  const load = async (before: string | null): Promise<void> => {
    try {
      const answer = await getJson<SessionPage>("/api/sessions", { limit: PAGE, before });
      setSessions((known) => [...(before ? (known ?? []) : []), ...answer.sessions]);
      setNext(answer.next);
      setError("");
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause));
    }
  };
  const page = usePage();
  void beat.value;
  const live = `${page.data.session?.id} ${page.data.session?.state}`;
  useEffect(() => void load(null), [live]); // a session began or ended
  useTable(() => ({
    name: "bl-sessions",
    header: ["id", "node", "state", "started_ms", "ended_ms", "duration_s", "simulated", "pairs", "bytes"],
    rows: (sessions ?? []).map((s) => [s.id, s.node, s.state, s.started, s.ended, s.duration_s, s.simulated, s.pairs.join(" "), s.bytes]),
  }));
  if (error && !sessions)
    return (
      <Empty title="The sessions cannot be read" command="bl serve">
        {error}
      </Empty>
    );
  if (sessions?.length === 0)
    return (
      <Empty title="No sessions yet" command="bl ingest --simulate --duration 30s">
        The store is empty. Each <code>bl ingest</code> writes one session; this one records 30 seconds of simulated signals.
      </Empty>
    );
  const found = (sessions ?? []).filter((s) => `${s.id} ${s.node} ${s.sources.join(" ")}`.toLowerCase().includes(search.toLowerCase()));
  // At most two are marked; a third one takes the place of the older.
  const mark = (id: string): void => setMarked(marked.includes(id) ? marked.filter((m) => m !== id) : [...marked, id].slice(-2));
  const tools = (
    <span class="tools">
      <input type="search" placeholder="Filter" aria-label="Filter sessions" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
      <button type="button" class="primary" disabled={marked.length !== 2} onClick={() => go("compare", { a: marked[0], b: marked[1] })}>
        Compare {marked.length} of 2
      </button>
    </span>
  );
  return (
    <Panel title="Sessions" note={sessions ? `${count(found.length)}${next ? "+" : ""}` : "loading"} tools={tools}>
      <div class="scroll">
        <table class="numbers text sessions">
          <thead>
            <tr>
              <th>
                <span class="sr">Compare</span>
              </th>
              <th>Session</th>
              <th>Started</th>
              <th class="n">Length</th>
              <th>State</th>
              <th>Node</th>
              <th class="n">Frame events</th>
              <th class="n">Size</th>
            </tr>
          </thead>
          <tbody>
            {found.map((s) => (
              <Row key={s.id} session={s} marked={marked.includes(s.id)} mark={mark} />
            ))}
          </tbody>
        </table>
      </div>
      {next && (
        <button type="button" onClick={() => void load(next)}>
          Older sessions
        </button>
      )}
    </Panel>
  );
}

const STATES = { recording: "good", ended: "off", crashed: "warn" } as const;
const STATE_WORDS = { recording: "recording", ended: "ended", crashed: "ended by a crash" };

function Row({ session: s, marked, mark }: { session: Session; marked: boolean; mark: (id: string) => void }): JSX.Element {
  const to = s.state === "recording" ? href("overview") : href("overview", { session: s.id });
  return (
    <tr class={marked ? "marked" : ""}>
      <td>
        <input type="checkbox" aria-label={`Compare ${s.id}`} checked={marked} onChange={() => mark(s.id)} />
      </td>
      <th>
        <a href={to}>{s.id}</a>
        {s.simulated && <span class="badge quiet">simulated</span>}
        {s.anchor_estimated && <span class="badge quiet">time estimated</span>}
      </th>
      <td class="nowrap">{date(s.started)}</td>
      <td class="n nowrap">{duration(s.duration_s)}</td>
      <td>
        <State tone={STATES[s.state] ?? "off"}>{STATE_WORDS[s.state] ?? s.state}</State>
      </td>
      <td>{s.node}</td>
      <td class="n">{count(s.rows.pipeline ?? null)}</td>
      <td class="n nowrap">{text(bytes(s.bytes))}</td>
    </tr>
  );
}
