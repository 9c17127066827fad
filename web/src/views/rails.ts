import type { Line } from "../charts/line.ts";
import type { Channel } from "../data/dataset.ts";
import type { Ring } from "../data/ring.ts";
import type { Scope } from "../data/scope.ts";

/** A rail of the board: its column stem, its name, the group that it belongs to. */
export interface Rail {
  id: string;
  label: string;
  group: "cpu" | "gpu" | "mb";
}

/** The rails in the order in which they are stacked: the groups of `cpu_w`, `gpu_w` and `mb_w` together. */
export const RAILS: readonly Rail[] = [
  { id: "eps1", label: "EPS 1", group: "cpu" },
  { id: "eps2", label: "EPS 2", group: "cpu" },
  { id: "hpwr1", label: "12VHPWR 1", group: "gpu" },
  { id: "hpwr2", label: "12VHPWR 2", group: "gpu" },
  { id: "pcie1", label: "PCIe 1", group: "gpu" },
  { id: "pcie2", label: "PCIe 2", group: "gpu" },
  { id: "pcie3", label: "PCIe 3", group: "gpu" },
  { id: "atx12v", label: "ATX 12 V", group: "mb" },
  { id: "atx5v", label: "ATX 5 V", group: "mb" },
  { id: "atx3v", label: "ATX 3.3 V", group: "mb" },
  { id: "atx5vsb", label: "ATX 5 VSB", group: "mb" },
];

export const GROUPS = [
  { id: "cpu", label: "CPU" },
  { id: "gpu", label: "GPU" },
  { id: "mb", label: "Board" },
] as const;

/** The rails that the board has. */
export function railsOf(ring: Ring | undefined): Rail[] {
  return RAILS.filter((rail) => ring?.cols.has(`${rail.id}_w`));
}

function rings(scope: Scope): Pick<Line, "ring" | "means"> {
  return { ring: () => scope.powerRing(), means: () => scope.powerTrack()?.means };
}

export function railLine(scope: Scope, rail: Rail): Line {
  return { id: rail.id, label: rail.label, unit: "W", color: `--rail-${rail.id}`, ...rings(scope), column: `${rail.id}_w` };
}

/** Power of the whole system. */
export function systemLine(scope: Scope, axis: 0 | 1 = 0): Line {
  return { id: "sys", label: "System", unit: "W", color: "--power", axis, ...rings(scope), column: "sys_w" };
}

export function groupLine(scope: Scope, group: (typeof GROUPS)[number]): Line {
  return { id: group.id, label: group.label, unit: "W", color: `--${group.id}`, ...rings(scope), column: `${group.id}_w` };
}

/** The slow channels of the board in view. */
export function boardChannel(scope: Scope): Channel | undefined {
  return scope.data.channels.get(`benchlab/${scope.deviceName()}`);
}
