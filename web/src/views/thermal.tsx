import type { JSX } from "preact";
import { beat } from "../charts/frame.ts";
import type { Line } from "../charts/line.ts";
import { TimeChart } from "../charts/timechart.tsx";
import type { Channel } from "../data/dataset.ts";
import { newest } from "../data/overview.ts";
import type { Scope } from "../data/scope.ts";
import { useTable } from "../ui/download.ts";
import { NONE, num } from "../ui/format.ts";
import { Card, Panel, State } from "../ui/parts.tsx";
import { channelLine, channelTable, channelsOf, seriesColor } from "./channels.ts";
import { NoChannels } from "./missing.tsx";

/** Names of the board's temperature columns. */
const BOARD_TEMPERATURES: [string, string][] = [
  ["chip_c", "Board"],
  ["ambient_c", "Ambient"],
  ["ts1_c", "Probe 1"],
  ["ts2_c", "Probe 2"],
  ["ts3_c", "Probe 3"],
  ["ts4_c", "Probe 4"],
  ["ts_hpwr1_in_c", "12VHPWR 1 in"],
  ["ts_hpwr1_out_c", "12VHPWR 1 out"],
  ["ts_hpwr2_in_c", "12VHPWR 2 in"],
  ["ts_hpwr2_out_c", "12VHPWR 2 out"],
];
const GPU_TEMPERATURES: [string, string][] = [
  ["temp_c", "GPU"],
  ["hotspot_c", "GPU hot spot"],
  ["mem_temp_c", "GPU memory"],
];
const FANS = 9;

/** Heat, damp and air. */
export function Thermal({ scope }: { scope: Scope }): JSX.Element {
  void beat.value;
  useTable(() => channelTable(scope, "thermal", ["benchlab", "gpu", "hwmon"], (c) => /_c$|humidity|fan|^value$/.test(c)));
  const temperatures = temperatureLines(scope);
  const board = scope.data.channels.get(`benchlab/${scope.deviceName()}`);
  const humidity = board?.ring.cols.has("humidity_pct") ? [channelLine(scope, board, "humidity_pct", { label: "Humidity", unit: "%RH", color: "--humidity" })] : [];
  const fans = fanLines(scope, board);
  if (temperatures.length + humidity.length + fans.length === 0) return <NoChannels what="temperatures or fans" />;
  return (
    <>
      <Now scope={scope} lines={[...temperatures, ...humidity]} />
      {temperatures.length > 0 && <TimeChart title="Temperatures" scope={scope} lines={temperatures} tall />}
      <div class="row two">
        {fans.length > 0 && <TimeChart title="Fans" scope={scope} lines={fans} floor={[0]} />}
        {humidity.length > 0 && <TimeChart title="Humidity" scope={scope} lines={humidity} />}
      </div>
      {board && fans.length > 0 && <FanTable scope={scope} board={board} />}
    </>
  );
}

function Now({ scope, lines }: { scope: Scope; lines: Line[] }): JSX.Element {
  const { from, to } = scope.range();
  return (
    <div class={`cards auto by-${columns(lines.length)}`}>
      {lines.map((line) => (
        <Card key={line.id} label={line.label} value={num(newest(line.ring(), line.column, from, to), 1)} unit={line.unit} />
      ))}
    </div>
  );
}

/** Cards in a row, so that rows of at most eight are about as long as each other. */
function columns(cards: number): number {
  return Math.max(4, Math.ceil(cards / Math.ceil(cards / 8)));
}

function temperatureLines(scope: Scope): Line[] {
  const lines: Line[] = [];
  const add = (channel: Channel, column: string, label: string): void => {
    if (channel.ring.cols.has(column)) lines.push(channelLine(scope, channel, column, { label, unit: "°C", color: seriesColor(lines.length) }));
  };
  const board = scope.data.channels.get(`benchlab/${scope.deviceName()}`);
  if (board) for (const [column, label] of BOARD_TEMPERATURES) add(board, column, label);
  const cards = channelsOf(scope, "gpu");
  for (const gpu of cards) for (const [column, label] of GPU_TEMPERATURES) add(gpu, column, cards.length > 1 ? `${label} ${gpu.key}` : label);
  for (const chip of channelsOf(scope, "hwmon")) if (chip.attrs.unit === "degC") add(chip, "value", String(chip.attrs.label ?? chip.key));
  return lines;
}

function fanLines(scope: Scope, board: Channel | undefined): Line[] {
  const lines: Line[] = [];
  for (let n = 1; board && n <= FANS; n++) {
    if (board.ring.cols.has(`fan${n}_rpm`)) lines.push(channelLine(scope, board, `fan${n}_rpm`, { label: `Fan ${n}`, unit: "rpm", color: seriesColor(n - 1), digits: 0 }));
  }
  for (const gpu of channelsOf(scope, "gpu")) {
    if (gpu.ring.cols.has("fan_rpm")) lines.push(channelLine(scope, gpu, "fan_rpm", { label: "GPU fan", unit: "rpm", color: seriesColor(lines.length), digits: 0 }));
  }
  return lines;
}

function FanTable({ scope, board }: { scope: Scope; board: Channel }): JSX.Element {
  const { from, to } = scope.range();
  const fans = Array.from({ length: FANS }, (_, i) => i + 1).filter((n) => board.ring.cols.has(`fan${n}_rpm`));
  return (
    <Panel title="Fans of the board" note={`switch: ${board.attrs.fan_switch ?? NONE}`}>
      <table class="numbers">
        <thead>
          <tr>
            <th>Fan</th>
            <th>Speed, rpm</th>
            <th>Duty, %</th>
            <th>State</th>
          </tr>
        </thead>
        <tbody>
          {fans.map((n) => {
            const enabled = board.attrs[`fan${n}_enabled`];
            return (
              <tr key={n}>
                <th>Fan {n}</th>
                <td>{num(newest(board.ring, `fan${n}_rpm`, from, to), 0)}</td>
                <td>{num(newest(board.ring, `fan${n}_duty_pct`, from, to), 0)}</td>
                <td>{enabled === undefined ? NONE : <State tone={enabled ? "good" : "off"}>{enabled ? "enabled" : "off"}</State>}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Panel>
  );
}
