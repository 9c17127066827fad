import type { Line } from "../charts/line.ts";
import { isoTime, type Table } from "../data/csv.ts";
import type { Channel } from "../data/dataset.ts";
import type { Scope } from "../data/scope.ts";

/** Colours for lines that have no colour of their own, in turn. */
const SERIES_COLORS = 10;

export function seriesColor(index: number): string {
  return `--series-${index % SERIES_COLORS}`;
}

/** The slow channels of a table. */
export function channelsOf(scope: Scope, table: string): Channel[] {
  return [...scope.data.channels.values()].filter((c) => c.table === table);
}

interface LineOptions {
  label: string;
  unit: string;
  color: string;
  axis?: 0 | 1;
  digits?: number;
  scale?: number;
}

/** A line over a column of a channel; the channel is looked up each time, since a new session replaces it. */
export function channelLine(scope: Scope, channel: Channel, column: string, options: LineOptions): Line {
  const id = `${channel.table}/${channel.key}`;
  return { id: `${id}/${column}`, column, ring: () => scope.data.channels.get(id)?.ring, ...options };
}

/** The readings in view of some tables, one a row. */
export function channelTable(scope: Scope, name: string, tables: string[], wanted: (column: string) => boolean = () => true): Table {
  const { from, to } = scope.range();
  function* rows(): Generator<(string | number)[]> {
    for (const table of tables) {
      for (const { key, ring } of channelsOf(scope, table)) {
        for (const [column, values] of ring.cols) {
          if (!wanted(column)) continue;
          for (let i = ring.lower(from); i < ring.lower(to); i++) if (values[i] === values[i]) yield [isoTime(ring.t[i]), ring.t[i], table, key, column, values[i]];
        }
      }
    }
  }
  return { name: `${scope.data.session?.id ?? "bl"}-${name}`, header: ["time_utc", "t_ms", "table", "key", "column", "value"], rows: rows() };
}
