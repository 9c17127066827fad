/** What stands where there is no reading. */
export const NONE = "–";

/** A number with a fixed count of decimals, so that it keeps its width. */
export function num(value: number | null | undefined, digits = 1): string {
  return value == null || !Number.isFinite(value) ? NONE : value.toFixed(digits);
}

/** A difference, with its sign. */
export function signed(value: number | null | undefined, digits = 1): string {
  const text = num(value, digits);
  if (!value || !Number(text)) return text.replace("-", "");
  return value > 0 ? `+${text}` : text.replace("-", "\u2212");
}

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A whole number with separators. */
export function count(value: number | null | undefined): string {
  return value == null || !Number.isFinite(value) ? NONE : GROUPED.format(value);
}

/** A number and its unit. */
export interface Quantity {
  value: string;
  unit: string;
}

function scaled(value: number | null | undefined, base: number, units: string[], unit: string): Quantity {
  if (value == null || !Number.isFinite(value)) return { value: NONE, unit: units[0] + unit };
  let v = value;
  let i = 0;
  while (Math.abs(v) >= base && i < units.length - 1) {
    v /= base;
    i++;
  }
  return { value: i === 0 && Number.isInteger(v) ? String(v) : v.toFixed(Math.abs(v) >= 100 ? 0 : Math.abs(v) >= 10 ? 1 : 2), unit: units[i] + unit };
}

export const bytes = (v: number | null | undefined): Quantity => scaled(v, 1024, ["", "Ki", "Mi", "Gi", "Ti"], "B");
export const joules = (v: number | null | undefined): Quantity => scaled(v, 1000, ["", "k", "M", "G"], "J");
export const nanoseconds = (v: number | null | undefined): Quantity => scaled(v, 1000, ["n", "µ", "m", ""], "s");
export const rate = (v: number | null | undefined): Quantity => ({ ...bytes(v), unit: `${bytes(v).unit}/s` });

export const text = (q: Quantity): string => `${q.value} ${q.unit}`;

const two = (n: number): string => String(n).padStart(2, "0");

/** A stretch of seconds: 1 h 02 min, 3 min 20 s, 12.4 s. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return NONE;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const s = Math.round(seconds);
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
}

/** A time of day, local: 14:03:21, with milliseconds where asked. */
export function time(t: number | null | undefined, ms = false): string {
  if (t == null || !Number.isFinite(t)) return NONE;
  const d = new Date(t);
  const base = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return ms ? `${base}.${String(d.getMilliseconds()).padStart(3, "0")}` : base;
}

/** A date and a time of day, local: 2026-11-24 14:03. */
export function date(t: number | null | undefined): string {
  if (t == null || !Number.isFinite(t)) return NONE;
  const d = new Date(t);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** How a pair is shown: ingress → encoded. */
export function pairLabel(pair: string | null): string {
  return pair ? pair.split(",").join(" → ") : NONE;
}
