import type { JSX } from "preact";
import { beat } from "../charts/frame.ts";
import { TimeChart } from "../charts/timechart.tsx";
import type { Table } from "../data/csv.ts";
import { isoTime } from "../data/csv.ts";
import type { Scope } from "../data/scope.ts";
import type { Board, DeviceStatus, HealthRow } from "../data/wire.ts";
import { useTable } from "../ui/download.ts";
import { NONE, count, nanoseconds, num, text, time } from "../ui/format.ts";
import { Facts, Panel, State } from "../ui/parts.tsx";
import { channelLine, seriesColor } from "./channels.ts";
import { NoBoard } from "./missing.tsx";

const MS_PER_NS = 1e-6;

/** Who measured, and how well. */
export function Device({ scope }: { scope: Scope }): JSX.Element {
  void beat.value;
  const { status, session } = scope.data;
  const own = new Set(session?.devices ?? []);
  const devices = (scope.live ? (status?.devices ?? []) : []).filter((d) => own.has(d.uid));
  const boards: Board[] = scope.live ? devices : scope.data.boards;
  const unknown = [...own].filter((uid) => !boards.some((b) => b.uid === uid));
  const health = scope.live ? (status?.health ?? []) : [];
  useTable(() => healthTable(scope.data.session?.id ?? "bl", health));
  if (own.size === 0) return <NoBoard />;
  const lines = [...own].flatMap((uid, i) => {
    const channel = scope.data.channels.get(`benchlab/${uid}`);
    return channel?.ring.cols.has("rtt_ns") ? [channelLine(scope, channel, "rtt_ns", { label: boards.find((b) => b.uid === uid)?.name ?? uid, unit: "ms", color: seriesColor(i), scale: MS_PER_NS, digits: 2 })] : [];
  });
  return (
    <>
      <div class="row two">
        {boards.map((board) => (
          <BoardPanel key={board.uid} board={board} device={devices.find((d) => d.uid === board.uid)} />
        ))}
        {unknown.map((uid) => (
          <Panel key={uid} title="Board" note="nothing more is known">
            <Facts rows={[["UID", <code>{uid}</code>]]} />
          </Panel>
        ))}
      </div>
      {lines.length > 0 && <TimeChart title="Round trip" scope={scope} lines={lines} floor={[0]} note="request written to last byte of the reply" />}
      {scope.live && <Health rows={health} />}
    </>
  );
}

/** Identity of a board as text; a vendor or product id is shown as the protocol's byte. */
function hex(id: number | null): string {
  return id === null ? NONE : `0x${id.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** How a board measures now. */
function measured(d: DeviceStatus): [string, JSX.Element | string][] {
  const { gaps } = d;
  return [
    ["Source", <code>{d.source}</code>],
    ["Sampling rate", `${num(d.rate_hz, 1)} Hz of ${num(d.target_hz, 0)} asked`],
    ["Samples", count(d.samples)],
    ["Round trip", `${text(nanoseconds(d.rtt_ns))} · least ${text(nanoseconds(d.rtt_min_ns))} · p99 ${text(nanoseconds(d.rtt_p99_ns))}`],
    ["Stamps exact to", `± ${text(nanoseconds(d.ts_err_ns))}`],
    ["Gaps", gaps ? `${count(gaps.count)} · ${count(gaps.lost)} samples lost · longest ${num(gaps.longest_ms, 0)} ms` : NONE],
    ["Last gap", gaps?.last ? time(gaps.last) : NONE],
  ];
}

function BoardPanel({ board: b, device }: { board: Board; device?: DeviceStatus }): JSX.Element {
  const state = device && <State tone={device.state === "up" ? "good" : "bad"}>{device.state === "up" ? "connected" : "gone"}</State>;
  return (
    <Panel title={b.name || b.model || "Board"} tools={state}>
      <Facts
        rows={[
          ["Model", b.model ?? NONE],
          ["Firmware", b.firmware === null ? NONE : String(b.firmware).padStart(2, "0")],
          ["Vendor / product", `${hex(b.vendor_id)} / ${hex(b.product_id)}`],
          ["UID", <code>{b.uid}</code>],
          ["Port", b.port ? <code>{b.port}</code> : NONE],
          ["Calibration", <Calibration valid={b.calibration_valid} />],
          ...(device ? measured(device) : []),
        ]}
      />
    </Panel>
  );
}

function Calibration({ valid }: { valid: boolean | null }): JSX.Element {
  if (valid === null) return <State tone="off">not known</State>;
  return valid ? <State tone="good">valid</State> : <State tone="warn">not valid: its checksum does not fit</State>;
}

/** What was lost, late or went wrong, newest first. */
export function Health({ rows }: { rows: HealthRow[] }): JSX.Element {
  const newest = [...rows].sort((a, b) => b.t - a.t);
  return (
    <Panel title="Health" note="lost, late, repeated, failed">
      {newest.length === 0 ? (
        <p class="quiet">Nothing was lost, late or failed so far.</p>
      ) : (
        <div class="scroll tall">
          <table class="numbers text health">
            <thead>
              <tr>
                <th>Time</th>
                <th>Source</th>
                <th>Reason</th>
                <th class="n">Count</th>
                <th>Detail</th>
              </tr>
            </thead>
            <tbody>
              {newest.map((row) => (
                <tr key={`${row.t}${row.source}${row.reason}`}>
                  <td class="nowrap">{time(row.t, true)}</td>
                  <td>
                    <code>{row.source}</code>
                  </td>
                  <td>{row.reason}</td>
                  <td class="n">{count(row.count)}</td>
                  <td class="detail">{row.detail ?? ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function healthTable(session: string, rows: HealthRow[]): Table {
  return { name: `${session}-health`, header: ["time_utc", "t_ms", "source", "reason", "count", "detail"], rows: rows.map((r) => [isoTime(r.t), r.t, r.source, r.reason, r.count, r.detail]) };
}
