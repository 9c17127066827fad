import type { DeviceStatus, ExporterStatus, Status } from "../data/wire.ts";
import { bytes, count, num, pairLabel, text } from "../ui/format.ts";
import type { Tone } from "../ui/parts.tsx";

/** A box of the diagram. */
export interface Node {
  id: string;
  title: string;
  lines: string[];
  tone: Tone | "off";
}

/** A column of the diagram (a row of it on a narrow page). */
export interface Column {
  title: string;
  nodes: Node[];
}

export interface Placed extends Node {
  x: number;
  y: number;
}

/** A line between two boxes; it moves while data flows. */
export interface Edge {
  id: string;
  path: string;
  tone: Tone | "off";
}

export interface Diagram {
  width: number;
  height: number;
  titles: { text: string; x: number; y: number }[];
  nodes: Placed[];
  edges: Edge[];
}

export const BOX = { width: 196, height: 66 };

/** Height of a box: a line less, where it has one line only. */
export function heightOf(node: Node): number {
  return BOX.height - 16 * (2 - node.lines.length);
}

const SOURCE_TONES = { up: "good", starting: "plain", waiting: "warn", stale: "bad", ended: "off" } as const;
const STORE_TONES = { ok: "good", missing: "bad", stale: "warn", error: "bad" } as const;
const EXPORTER_TONES = { up: "good", idle: "plain", off: "off", error: "bad" } as const;

/** The way of the data, from the boards to the exporters. */
export function columns(s: Status): Column[] {
  const boards = s.devices.map((d): Node => ({
    id: `device/${d.uid}`,
    title: d.name ?? d.model ?? d.uid,
    lines: [firmware(d), `${num(d.rate_hz, 1)} Hz`],
    tone: d.state === "up" ? "good" : "bad",
  }));
  const sources = s.sources.map((x): Node => ({
    id: `source/${x.name}`,
    title: x.name,
    lines: [`${x.state === "up" ? `${num(x.rate_hz, 1)} rows/s` : x.state}${x.lost ? ` · ${count(x.lost)} lost` : ""}`],
    tone: SOURCE_TONES[x.state] ?? "plain",
  }));
  const store: Node[] = s.store
    ? [{ id: "store", title: s.store.state === "ok" ? "Session store" : `Store: ${s.store.state}`, lines: [`${num(s.store.rows_per_s, 0)} rows/s · ${text(bytes(s.store.bytes_per_s))}/s`, `${num(s.store.lag_ms, 0)} ms behind`], tone: STORE_TONES[s.store.state] ?? "plain" }]
    : [];
  const pairs = s.alignment.map((a): Node => ({
    id: `pair/${a.pair}`,
    title: pairLabel(a.pair),
    lines: [`${num(a.rate_hz, 1)} pairs/s`, `${count(a.paired)} · ${count(a.dropped)} dropped${a.ambiguous ? ` · ${count(a.ambiguous)} not told` : ""}`],
    tone: a.state === "up" ? "good" : "plain",
  }));
  const exporters = s.exporters.map((e): Node => ({
    id: `exporter/${e.name}`,
    title: e.name,
    lines: [e.address ?? e.detail, activity(e)],
    tone: EXPORTER_TONES[e.state] ?? "plain",
  }));
  return [
    { title: "Boards", nodes: boards },
    { title: "Sources", nodes: sources },
    { title: "Store", nodes: store },
    { title: "Alignment", nodes: pairs },
    { title: "Exporters", nodes: exporters },
  ];
}

/** Model, where the name does not say it, and firmware of a board. */
function firmware(d: DeviceStatus): string {
  const version = d.firmware === null ? null : `firmware ${String(d.firmware).padStart(2, "0")}`;
  return [d.name === d.model ? null : d.model, version].filter(Boolean).join(" · ") || "board";
}

/** What an exporter does now, as far as it is known. */
function activity(e: ExporterStatus): string {
  if (e.state !== "up") return e.state;
  const clients = e.clients === null ? null : `${count(e.clients)} ${e.clients === 1 ? "client" : "clients"}`;
  return [e.rate_per_s === null ? null : `${num(e.rate_per_s, 1)}/s`, clients].filter(Boolean).join(" · ") || e.state;
}

/** Which boxes are joined: boards to their source, sources to the store, the store to pairs and exporters, pairs to exporters. */
function joined(s: Status): [string, string][] {
  const out: [string, string][] = [];
  for (const d of s.devices) out.push([`device/${d.uid}`, `source/${d.source}`]);
  for (const x of s.sources) out.push([`source/${x.name}`, "store"]);
  for (const a of s.alignment) out.push(["store", `pair/${a.pair}`]);
  for (const e of s.exporters) {
    if (s.alignment.length === 0) out.push(["store", `exporter/${e.name}`]);
    for (const a of s.alignment) out.push([`pair/${a.pair}`, `exporter/${e.name}`]);
  }
  return out;
}

const HEAD = 34;
const GAP = { column: 60, row: 12 };

/** Columns side by side, each centred on the tallest. */
export function wide(s: Status): Diagram {
  const all = columns(s);
  const tall = (nodes: Node[]): number => nodes.reduce((sum, node) => sum + heightOf(node) + GAP.row, -GAP.row);
  const height = HEAD + Math.max(BOX.height, ...all.map((c) => tall(c.nodes))) + 4;
  const nodes: Placed[] = [];
  const titles = all.map((column, i) => {
    const x = i * (BOX.width + GAP.column);
    let y = HEAD + (height - HEAD - tall(column.nodes)) / 2;
    for (const node of column.nodes) {
      nodes.push({ ...node, x: x + 1, y });
      y += heightOf(node) + GAP.row;
    }
    return { text: column.title, x, y: 14 };
  });
  const edges = edgesOf(s, nodes, (a, b) => {
    const [x1, y1, x2, y2] = [a.x + BOX.width, a.y + heightOf(a) / 2, b.x, b.y + heightOf(b) / 2];
    const bend = (x2 - x1) / 2;
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  });
  return { width: all.length * (BOX.width + GAP.column) - GAP.column + 2, height, titles, nodes, edges };
}

/** Between the two boxes of a row on a narrow page: room for the lines, which run down its middle and behind no box. */
const GUTTER = 44;
const BEND = 8;

/** Columns below one another, two boxes in a row, for a narrow page; a box that is alone in its column stands in the middle. */
export function narrow(s: Status): Diagram {
  const width = 2 * BOX.width + GUTTER + 2;
  const nodes: Placed[] = [];
  const titles: Diagram["titles"] = [];
  let y = 14;
  for (const column of columns(s)) {
    const { length } = column.nodes;
    if (length === 0) continue;
    const step = Math.max(...column.nodes.map(heightOf)) + GAP.row;
    titles.push({ text: column.title, x: 1, y });
    y += 14;
    column.nodes.forEach((node, k) => nodes.push({ ...node, x: length === 1 ? (width - BOX.width) / 2 : 1 + (k % 2) * (BOX.width + GUTTER), y: y + Math.floor(k / 2) * step }));
    y += Math.ceil(length / 2) * step + 30;
  }
  const edges = edgesOf(s, nodes, (a, b) => along(width / 2, a, b));
  return { width, height: y - 30, titles, nodes, edges };
}

/** A line from one box to one below it, down the middle of the page. */
function along(middle: number, a: Placed, b: Placed): string {
  const side = (n: Placed): number => Math.sign(n.x + BOX.width / 2 - middle);
  const edge = (n: Placed): number => (side(n) < 0 ? n.x + BOX.width : n.x);
  const at = (n: Placed): number => n.y + heightOf(n) / 2;
  const from = side(a) === 0 ? `M${middle} ${a.y + heightOf(a)}` : `M${edge(a)} ${at(a)}H${middle + side(a) * BEND}Q${middle} ${at(a)} ${middle} ${at(a) + BEND}`;
  const to = side(b) === 0 ? `V${b.y}` : `V${at(b) - BEND}Q${middle} ${at(b)} ${middle + side(b) * BEND} ${at(b)}H${edge(b)}`;
  return from + to;
}

function edgesOf(s: Status, nodes: Placed[], path: (a: Placed, b: Placed) => string): Edge[] {
  const by = new Map(nodes.map((n) => [n.id, n]));
  const edges = joined(s).flatMap(([from, to]): Edge[] => {
    const [a, b] = [by.get(from), by.get(to)];
    if (!a || !b) return [];
    const flows = a.tone === "good" && b.tone === "good";
    return [{ id: `${from}>${to}`, path: path(a, b), tone: flows ? "good" : a.tone === "bad" || b.tone === "bad" ? "bad" : "off" }];
  });
  // Where lines lie on one another, the one that says more is on top.
  const rank = { off: 0, plain: 0, warn: 1, good: 1, bad: 2 } as const;
  return edges.sort((a, b) => rank[a.tone] - rank[b.tone]);
}
