import type { ComponentChildren, JSX } from "preact";
import type { Scope } from "../data/scope.ts";
import { NONE, num, time } from "../ui/format.ts";
import { beat } from "./frame.ts";
import { useDrawing } from "./host.ts";
import type { Line } from "./line.ts";
import { TimePlot, type TimePlotOptions } from "./timeplot.ts";

interface Props extends Omit<TimePlotOptions, "lines"> {
  title: string;
  lines: Line[];
  /** Taller, for the chart that a view is about. */
  tall?: boolean;
  children?: ComponentChildren;
  note?: string;
}

/** A chart over time in a panel, with a legend that says the values under the cursor, else the newest ones. */
export function TimeChart(props: Props): JSX.Element {
  const { title, scope, lines, stacked, floor, ceiling, relative, sync, marks, tall, note } = props;
  const key = `${scope.id} ${sync} ${stacked} ${relative} ${lines.map((l) => `${l.id}:${l.color}`).join()}`;
  const ref = useDrawing(key, (host) => new TimePlot(host, { scope, lines, stacked, floor, ceiling, relative, sync, marks }));
  return (
    <section class={`panel chart${tall ? " tall" : ""}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {note && <span class="note">{note}</span>}
        {props.children}
      </header>
      <Legend scope={scope} lines={lines} />
      <div class="plot" ref={ref} role="img" aria-label={`${title} over time: ${lines.map((l) => l.label).join(", ")}`} />
    </section>
  );
}

/** Names, colours and values of a chart's lines. */
function Legend({ scope, lines }: { scope: Scope; lines: Line[] }): JSX.Element {
  void beat.value;
  const at = scope.cursor.value;
  return (
    <ul class={lines.length > 4 ? "legend many" : "legend"}>
      {lines.map((line) => (
        <li key={line.id}>
          <i class="swatch" style={{ background: `var(${line.color})` }} />
          <span class="name">{line.label}</span>
          <b class="val">{reading(scope, line, at)}</b>
          <span class="unit">{line.unit}</span>
        </li>
      ))}
      <li class="at">{at === null ? "" : time(at, true)}</li>
    </ul>
  );
}

function reading(scope: Scope, line: Line, at: number | null): string {
  const ring = line.ring();
  const v = ring?.cols.get(line.column);
  if (!ring || !v || ring.length === 0) return NONE;
  const range = scope.range();
  const t = at ?? range.to;
  const i = at === null ? ring.lower(t) - 1 : ring.nearest(t);
  const near = Math.max(ring.gap_ms, 3_000, at === null ? 0 : (range.to - range.from) / 400);
  if (i < ring.start || Math.abs(ring.t[i] - t) > near) return NONE;
  return num(v[i] * (line.scale ?? 1), line.digits ?? 1);
}
