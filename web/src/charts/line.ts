import type { Ring } from "../data/ring.ts";

/** One line of a chart: a column of a ring, and how it looks. */
export interface Line {
  /** Name that is unique within the chart. */
  id: string;
  label: string;
  unit: string;
  /** Custom property with its colour, such as `--latency`. */
  color: string;
  /** Value axis: 0 left, 1 right. */
  axis?: 0 | 1;
  ring: () => Ring | undefined;
  /** Bucket means, where the rows in `ring` are thinned to extremes. */
  means?: () => Ring | undefined;
  column: string;
  digits?: number;
  /** What a reading is multiplied with to be in `unit`. */
  scale?: number;
}
