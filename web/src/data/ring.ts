import type { Column, Columns } from "./wire.ts";

/** Rows between which a gap is looked for, to learn the usual distance of a series. */
const SPACING_ROWS = 64;

/**
 * The newest rows of a series: a time column in milliseconds and any number of value columns, NaN where a reading
 * is missing. It is a ring laid flat: rows lie in one stretch `start..end` of each array, which slides and is moved back
 * to the front when it reaches the end, so that a search or a scan never has to wrap.
 */
export class Ring {
  t: Float64Array;
  readonly cols = new Map<string, Float64Array>();
  start = 0;
  end = 0;
  /** Grows with every change, so that a reader knows whether to look again. */
  version = 0;
  private spacing = NaN;

  /** @param limit rows that are kept; @param span_ms how far back from the newest row they reach */
  constructor(
    readonly limit: number,
    readonly span_ms = Infinity,
  ) {
    this.t = new Float64Array(Math.min(1024, 2 * limit));
  }

  get length(): number {
    return this.end - this.start;
  }

  /** Time of the newest row, NaN when there is none. */
  get last(): number {
    return this.length ? this.t[this.end - 1] : NaN;
  }

  /** Time of the oldest row, NaN when there is none. */
  get first(): number {
    return this.length ? this.t[this.start] : NaN;
  }

  /** A column, made of NaN where it is new. */
  column(name: string): Float64Array {
    let col = this.cols.get(name);
    if (!col) {
      col = new Float64Array(this.t.length).fill(NaN);
      this.cols.set(name, col);
      this.version++;
    }
    return col;
  }

  /** The newest reading of a column, NaN when there is none. */
  latest(name: string): number {
    const col = this.cols.get(name);
    return col && this.length ? col[this.end - 1] : NaN;
  }

  /** Adds rows sorted by time; those that are older than what is held already are put in their place. */
  append(t: readonly number[], cols: Columns): void {
    if (t.length === 0) return;
    for (const name in cols) this.column(name);
    for (let i = 0; i < t.length; i++) this.insert(t[i], i, cols);
    while (this.length && this.last - this.t[this.start] > this.span_ms) this.start++;
    this.spacing = NaN;
    this.version++;
  }

  /** Puts readings into rows that are held already: of each time, the row whose column `key` has the given value. */
  amend(t: readonly number[], key: string, values: Column, cols: Columns): void {
    const keys = this.column(key);
    for (const name in cols) this.column(name);
    for (let i = 0; i < t.length; i++) {
      const at = this.find(t[i], keys, values[i] ?? NaN);
      if (at >= 0) for (const name in cols) this.column(name)[at] = cols[name][i] ?? NaN;
    }
    this.version++;
  }

  private find(t: number, keys: Float64Array, key: number): number {
    for (let at = this.lower(t); at < this.end && this.t[at] === t; at++) if (Object.is(keys[at], key)) return at;
    return -1;
  }

  clear(): void {
    this.start = this.end = 0;
    this.spacing = NaN;
    this.version++;
  }

  /** Index of the first row at or after `t`. */
  lower(t: number): number {
    let lo = this.start;
    let hi = this.end;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.t[mid] < t) lo = mid + 1;
      else hi = mid;
    }
    return lo;
  }

  /** Index of the row nearest to `t`, -1 when there is none. */
  nearest(t: number): number {
    if (this.length === 0) return -1;
    const i = this.lower(t);
    if (i === this.start) return i;
    if (i === this.end) return i - 1;
    return t - this.t[i - 1] <= this.t[i] - t ? i - 1 : i;
  }

  /** Usual distance of neighbouring rows in time: the median over rows spread evenly over the ring. */
  get spacing_ms(): number {
    if (Number.isNaN(this.spacing)) this.spacing = this.median_ms();
    return this.spacing;
  }

  /** Distance in time above which two neighbouring rows count as having a gap between them. */
  get gap_ms(): number {
    return Math.max(8 * this.spacing_ms, 50);
  }

  private median_ms(): number {
    const n = this.length - 1;
    if (n < 1) return Infinity;
    const count = Math.min(n, SPACING_ROWS);
    const d = new Float64Array(count);
    for (let k = 0; k < count; k++) {
      const i = this.start + 1 + Math.floor((k * n) / count);
      d[k] = this.t[i] - this.t[i - 1];
    }
    d.sort();
    return d[count >> 1];
  }

  private insert(t: number, row: number, cols: Columns): void {
    if (this.length === this.limit) {
      if (t <= this.t[this.start]) return;
      this.start++;
    }
    if (this.end === this.t.length) this.makeRoom();
    let at = this.end;
    while (at > this.start && this.t[at - 1] > t) at--;
    if (at < this.end) {
      this.t.copyWithin(at + 1, at, this.end);
      for (const col of this.cols.values()) col.copyWithin(at + 1, at, this.end);
    }
    this.end++;
    this.t[at] = t;
    for (const [name, col] of this.cols) col[at] = cols[name]?.[row] ?? NaN;
  }

  /** Moves the rows to the front, into larger arrays while less than twice the limit is held. */
  private makeRoom(): void {
    const size = this.length * 2 > this.t.length ? Math.min(2 * this.t.length, 2 * this.limit) : this.t.length;
    const move = (old: Float64Array): Float64Array => {
      if (size === old.length) return old.copyWithin(0, this.start, this.end);
      const next = new Float64Array(size);
      next.set(old.subarray(this.start, this.end));
      return next;
    };
    this.t = move(this.t);
    for (const [name, col] of this.cols) this.cols.set(name, move(col));
    this.end -= this.start;
    this.start = 0;
  }
}
