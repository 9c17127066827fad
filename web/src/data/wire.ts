/** The bodies that the server sends, as API.md describes them. */

/** A column of readings; a missing one is null. */
export type Column = (number | null)[];
export type Columns = Record<string, Column>;

/** Means of the buckets that rows were thinned into. */
export interface Means {
  t: number[];
  cols: Columns;
}

export interface Pairs {
  pair: string;
  t: number[];
  lat_ms: Column;
  power_w: Column;
  energy_j: Column;
  frame: Column;
  dropped_t: number[];
  dropped_frame: Column;
  /** Frames of which nobody can tell whether, and when, they arrived. */
  ambiguous_t?: number[];
  total?: number;
  exact?: boolean;
  means?: Means;
}

/** Power and energy of pairs that came without them. */
export interface Costs {
  pair: string;
  t: number[];
  frame: Column;
  power_w: Column;
  energy_j: Column;
}

export interface Power {
  device: string;
  t: number[];
  cols: Columns;
  total?: number;
  exact?: boolean;
  means?: Means;
}

export interface ChannelSeries {
  table: string;
  key: string;
  source: string;
  t: number[];
  cols: Columns;
  attrs: Record<string, string | boolean | null>;
}

export interface Channels {
  series: ChannelSeries[];
}

export interface StageEvents {
  stages: string[];
  t: number[];
  stage: number[];
  frame: Column;
  key_ns: Column;
}

export interface Mark {
  t: number;
  name: string;
  kind: "begin" | "end" | "point";
  attrs: Record<string, unknown>;
}

export interface Step {
  name: string;
  begin: number | null;
  end: number | null;
  latency_ms: number | null;
  target_ms: number | null;
  met: boolean | null;
  energy_j: number | null;
  frames: number | null;
}

export interface Flow {
  name: string;
  steps: Step[];
}

export interface Marks {
  marks: Mark[];
  flows: Flow[];
}

export interface Session {
  id: string;
  node: string;
  state: "recording" | "ended" | "crashed";
  started: number;
  ended: number | null;
  duration_s: number | null;
  simulated: boolean;
  pairs: string[];
  sources: string[];
  devices: string[];
  rows: Record<string, number>;
  bytes: number | null;
  anchor_estimated?: boolean;
}

export interface SourceStatus {
  name: string;
  kind: string | null;
  state: "starting" | "up" | "waiting" | "stale" | "ended";
  detail: string;
  rate_hz: number | null;
  rows: number | null;
  lost: number | null;
  last: number | null;
  simulated: boolean;
  tables: string[];
}

export interface StoreStatus {
  state: "ok" | "missing" | "stale" | "error";
  detail: string;
  data_root: string | null;
  sessions: number | null;
  sealed_bytes: number | null;
  open_bytes: number | null;
  rows_per_s: number | null;
  bytes_per_s: number | null;
  free_bytes: number | null;
  lag_ms: number | null;
}

export interface AlignmentStatus {
  pair: string;
  state: "up" | "idle";
  paired: number | null;
  dropped: number | null;
  ambiguous?: number | null;
  open: number | null;
  rate_hz: number | null;
  delay_ms: number | null;
  sensor_lag_ms: number | null;
  lag_confidence: number | null;
}

export interface ExporterStatus {
  name: string;
  kind: string;
  state: "up" | "idle" | "off" | "error";
  detail: string;
  address: string | null;
  clients: number | null;
  rate_per_s: number | null;
  last: number | null;
}

/** Who a board is, as far as its recorder came to know. */
export interface Board {
  uid: string;
  model: string | null;
  name: string | null;
  vendor_id: number | null;
  product_id: number | null;
  firmware: number | null;
  port: string | null;
  calibration_valid: boolean | null;
}

export interface DeviceStatus extends Board {
  source: string;
  node: string | null;
  state: "up" | "gone";
  rate_hz: number | null;
  target_hz: number | null;
  samples: number | null;
  rtt_ns: number | null;
  rtt_min_ns: number | null;
  rtt_p99_ns: number | null;
  ts_err_ns: number | null;
  gaps: { count: number | null; lost: number | null; longest_ms: number | null; last: number | null } | null;
  energy: {
    since: number | null;
    sys_j: number | null;
    cpu_j: number | null;
    gpu_j: number | null;
    mb_j: number | null;
    peak_w: number | null;
    peak_t: number | null;
  } | null;
}

export interface HealthRow {
  t: number;
  source: string;
  reason: string;
  count: number | null;
  detail: string | null;
}

export interface Status {
  version: string;
  node: string | null;
  now: number;
  started: number | null;
  session: Session | null;
  sources: SourceStatus[];
  store: StoreStatus | null;
  alignment: AlignmentStatus[];
  exporters: ExporterStatus[];
  devices: DeviceStatus[];
  health: HealthRow[];
}

/** One message of the stream, or one entry of `events` in `/api/live`. */
export type Message =
  | { event: "session"; data: Session | null }
  | { event: "pairs"; data: Pairs }
  | { event: "costs"; data: Costs }
  | { event: "power"; data: Power }
  | { event: "channels"; data: Channels }
  | { event: "events"; data: StageEvents }
  | { event: "marks"; data: Marks }
  | { event: "status"; data: Status };

/** Names of the messages that carry data, in the order in which they are listed above. */
export const MESSAGE_NAMES = ["session", "pairs", "costs", "power", "channels", "events", "marks", "status"] as const;

export interface Live {
  rows: { t: number; lat_ms: number; power_w: number | null }[];
  id: string;
  now: number;
  reset: boolean;
  session: Session | null;
  events: Message[];
}

export interface Summary {
  session: Session;
  pair: string | null;
  from: number;
  to: number;
  latency: {
    count: number;
    dropped: number;
    ambiguous?: number;
    min_ms: number | null;
    mean_ms: number | null;
    max_ms: number | null;
    p50_ms: number | null;
    p95_ms: number | null;
    p99_ms: number | null;
    p999_ms: number | null;
  };
  power: {
    samples: number;
    min_w: number | null;
    mean_w: number | null;
    max_w: number | null;
    max_t: number | null;
    cpu_w: number | null;
    gpu_w: number | null;
    mb_w: number | null;
    energy_j: number | null;
    cpu_j: number | null;
    gpu_j: number | null;
    mb_j: number | null;
    rails: Record<string, { mean_w: number | null; max_w: number | null; energy_j: number | null }>;
  };
  efficiency: {
    j_per_frame: number | null;
    frames_per_j: number | null;
    ms_per_w: number | null;
    corr: number | null;
  };
  histogram: { edges_ms: number[]; count: number[] };
  gaps: { count: number; lost: number; longest_ms: number | null };
}

export interface SessionPage {
  sessions: Session[];
  next: string | null;
}

export interface Timeline {
  bin_s: number;
  t: number[];
  frames: number[];
  dropped: number[];
  lat_min_ms: Column;
  lat_mean_ms: Column;
  lat_max_ms: Column;
  lat_p95_ms: Column;
  lat_p99_ms: Column;
  power_min_w: Column;
  power_mean_w: Column;
  power_max_w: Column;
  energy_j: Column;
}
