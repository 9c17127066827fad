import type { JSX } from "preact";
import { beat } from "../charts/frame.ts";
import type { Line } from "../charts/line.ts";
import { TimeChart } from "../charts/timechart.tsx";
import type { Channel } from "../data/dataset.ts";
import { newest } from "../data/overview.ts";
import type { Scope } from "../data/scope.ts";
import { useTable } from "../ui/download.ts";
import { bytes, num } from "../ui/format.ts";
import { Panel } from "../ui/parts.tsx";
import { channelLine, channelTable, channelsOf, seriesColor } from "./channels.ts";
import { NoChannels } from "./missing.tsx";

const MB = 1e-6;

/** What the host was doing. */
export function Host({ scope }: { scope: Scope }): JSX.Element {
  void beat.value;
  useTable(() => channelTable(scope, "host", ["gpu", "cpu", "memory", "net", "disk", "rapl"]));
  const cards = channelsOf(scope, "gpu");
  const cpu = channelsOf(scope, "cpu");
  const total = cpu.find((c) => c.key === "all");
  const memory = channelsOf(scope, "memory");
  const charts: [string, Line[], { floor?: [number]; ceiling?: [number] }][] = [
    ...cards.map((gpu): (typeof charts)[number] => [gpuTitle(gpu, cards.length), gpuLines(scope, gpu), PERCENT]),
    ["CPU", total ? some(scope, total, [["busy_pct", "Busy"], ["user_pct", "User"], ["system_pct", "System"], ["iowait_pct", "Waiting for I/O"]], "%") : [], PERCENT],
    ["Memory", memory.flatMap((m) => some(scope, m, [["used_pct", "In use"]], "%")), PERCENT],
    ["Network", traffic(scope, "net", "rx_bytes_per_s", "tx_bytes_per_s", "in", "out"), { floor: [0] }],
    ["Disk", traffic(scope, "disk", "read_bytes_per_s", "write_bytes_per_s", "read", "write"), { floor: [0] }],
    ["Processor power (RAPL)", channelsOf(scope, "rapl").flatMap((r, i) => (r.ring.cols.has("power_w") ? [channelLine(scope, r, "power_w", { label: r.key, unit: "W", color: seriesColor(i) })] : [])), { floor: [0] }],
  ];
  const drawn = charts.filter(([, lines]) => lines.length > 0);
  if (drawn.length === 0) return <NoChannels what="host readings" />;
  return (
    <>
      <Cores scope={scope} cores={cpu.filter((c) => c.key !== "all")} memory={memory[0]} />
      <div class="row two">
        {drawn.map(([title, lines, options]) => (
          <TimeChart key={title} title={title} scope={scope} lines={lines} {...options} />
        ))}
      </div>
    </>
  );
}

const PERCENT: { floor: [number]; ceiling: [number] } = { floor: [0], ceiling: [100] };

function gpuTitle(gpu: Channel, count: number): string {
  const name = String(gpu.attrs.name ?? "GPU");
  return count > 1 ? `GPU ${gpu.key}: ${name}` : name;
}

function gpuLines(scope: Scope, gpu: Channel): Line[] {
  return some(scope, gpu, [["util_pct", "Load"], ["mem_util_pct", "Memory"], ["encoder_pct", "Encoder"], ["decoder_pct", "Decoder"]], "%");
}

/** Lines of those columns that the channel has. */
function some(scope: Scope, channel: Channel, columns: [string, string][], unit: string): Line[] {
  return columns.filter(([c]) => channel.ring.cols.has(c)).map(([c, label], i) => channelLine(scope, channel, c, { label, unit, color: seriesColor(i) }));
}

function traffic(scope: Scope, table: string, a: string, b: string, labelA: string, labelB: string): Line[] {
  const lines: Line[] = [];
  for (const channel of channelsOf(scope, table)) {
    for (const [column, label] of [
      [a, labelA],
      [b, labelB],
    ]) {
      if (channel.ring.cols.has(column)) lines.push(channelLine(scope, channel, column, { label: `${channel.key} ${label}`, unit: "MB/s", color: seriesColor(lines.length), scale: MB, digits: 2 }));
    }
  }
  return lines;
}

/** Each logical processor as a bar, and the memory in words. */
function Cores({ scope, cores, memory }: { scope: Scope; cores: Channel[]; memory: Channel | undefined }): JSX.Element | null {
  if (cores.length === 0 && !memory) return null;
  const { from, to } = scope.range();
  const sorted = [...cores].sort((a, b) => Number(a.key) - Number(b.key));
  const total = bytes(memory && newest(memory.ring, "total_bytes", from, to));
  const free = bytes(memory && newest(memory.ring, "available_bytes", from, to));
  return (
    <Panel title="Processors" note={memory ? `memory: ${free.value} ${free.unit} of ${total.value} ${total.unit} available` : ""}>
      <ul class="cores">
        {sorted.map((core) => {
          const busy = newest(core.ring, "busy_pct", from, to);
          return (
            <li key={core.key}>
              <span class="note">{core.key}</span>
              <span class="bar">
                <i style={{ width: `${busy || 0}%` }} />
              </span>
              <b>{num(busy, 0)} %</b>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}
