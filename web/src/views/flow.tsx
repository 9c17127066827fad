import type { JSX } from "preact";
import { beat } from "../charts/frame.ts";
import { isoTime, type Table } from "../data/csv.ts";
import type { Scope } from "../data/scope.ts";
import type { Flow as FlowShape, Mark, Step } from "../data/wire.ts";
import { useTable } from "../ui/download.ts";
import { NONE, count, duration, joules, num, text, time } from "../ui/format.ts";
import { Icon } from "../ui/icons.tsx";
import { Empty, Panel } from "../ui/parts.tsx";

/** The steps of flows against their targets, and the bookmarks. */
export function Flow({ scope }: { scope: Scope }): JSX.Element {
  void beat.value;
  const { flows, marks } = scope.data.marks;
  useTable(() => flowTable(scope.data.session?.id ?? "bl", flows));
  if (flows.length === 0 && marks.length === 0)
    return (
      <Empty title="No flow and no marks in this session" command='bl mark "encode"'>
        A flow is a list of named steps with a <code>latency_target_ms</code> each, in <code>[flows]</code> of the configuration;{" "}
        <code>bl mark NAME</code> begins a step and <code>bl mark NAME --end</code> ends it.
      </Empty>
    );
  return (
    <>
      {flows.map((flow) => (
        <OneFlow key={flow.name} flow={flow} />
      ))}
      {flows.length === 0 && <p class="quiet">No flow is configured; these are the bookmarks.</p>}
      <Marks marks={marks} />
    </>
  );
}

function OneFlow({ flow }: { flow: FlowShape }): JSX.Element {
  const { steps } = flow;
  const met = steps.filter((s) => s.met === true).length;
  const missed = steps.filter((s) => s.met === false).length;
  const most = Math.max(1, ...steps.map((s) => Math.max(s.latency_ms ?? 0, s.target_ms ?? 0))) * 1.15;
  return (
    <Panel title={flow.name} note={`${met} met · ${missed} missed · ${steps.filter((s) => s.begin === null).length} not reached`}>
      <ol class="steps">
        {steps.map((step, i) => (
          <OneStep key={i} step={step} place={i + 1} most={most} />
        ))}
      </ol>
    </Panel>
  );
}

function verdict({ met, begin, end }: Step): { tone: string; word: string; icon: "check" | "cross" | "minus" } {
  if (met === true) return { tone: "good", word: "met", icon: "check" };
  if (met === false) return { tone: "bad", word: "missed", icon: "cross" };
  if (begin === null) return { tone: "off", word: "not reached", icon: "minus" };
  return { tone: "off", word: end === null ? "running" : "no target", icon: "minus" };
}

function OneStep({ step, place, most }: { step: Step; place: number; most: number }): JSX.Element {
  const { tone, word, icon } = verdict(step);
  const percent = (ms: number | null): string => `${(100 * (ms ?? 0)) / most}%`;
  return (
    <li class={`step ${tone}`}>
      <span class="place">{place}</span>
      <span class="name">
        {step.name}
        <span class="note">{step.begin === null ? NONE : `${time(step.begin)}${step.end ? ` · ${duration((step.end - step.begin) / 1000)}` : ""}`}</span>
      </span>
      <span class="bullet" role="img" aria-label={`latency ${num(step.latency_ms, 2)} ms, target ${num(step.target_ms, 1)} ms`}>
        <i class="value" style={{ width: percent(step.latency_ms) }} />
        {step.target_ms !== null && <i class="target" style={{ left: percent(step.target_ms) }} />}
      </span>
      <span class="figure">
        {step.latency_ms === null ? NONE : <b>{num(step.latency_ms, 2)}</b>} {step.latency_ms !== null && <span class="unit">ms</span>}
        <span class="note">{step.target_ms === null ? "no target" : `target ${num(step.target_ms, 1)} ms`}</span>
      </span>
      <span class="figure">
        {step.energy_j === null ? NONE : <b>{text(joules(step.energy_j))}</b>}
        <span class="note">{step.frames === null ? "" : `${count(step.frames)} frames`}</span>
      </span>
      <span class={`verdict ${tone}`}>
        <Icon name={icon} />
        {word}
      </span>
    </li>
  );
}

function Marks({ marks }: { marks: Mark[] }): JSX.Element {
  return (
    <Panel title="Marks" note={count(marks.length)}>
      <div class="scroll tall">
        <table class="numbers text">
          <thead>
            <tr>
              <th>Time</th>
              <th>Kind</th>
              <th>Name</th>
              <th>Attributes</th>
            </tr>
          </thead>
          <tbody>
            {marks.map((m, i) => (
              <tr key={i}>
                <td class="nowrap">{time(m.t, true)}</td>
                <td>{m.kind}</td>
                <td>{m.name}</td>
                <td>
                  {Object.entries(m.attrs)
                    .map(([k, v]) => `${k}: ${String(v)}`)
                    .join(", ")}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function flowTable(session: string, flows: FlowShape[]): Table {
  const rows = flows.flatMap((flow) =>
    flow.steps.map((s, i) => [flow.name, i + 1, s.name, s.begin === null ? null : isoTime(s.begin), s.end === null ? null : isoTime(s.end), s.latency_ms, s.target_ms, s.met, s.energy_j, s.frames]),
  );
  return { name: `${session}-flow`, header: ["flow", "place", "step", "begin_utc", "end_utc", "latency_ms", "target_ms", "met", "energy_j", "frames"], rows };
}
