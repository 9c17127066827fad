import assert from "node:assert/strict";
import { test } from "node:test";
import { CalmRange } from "../src/charts/calm.ts";
import { stack } from "../src/charts/stack.ts";
import { newBuckets, type Buckets } from "../src/data/buckets.ts";

const line = (mean: (number | null | undefined)[]): Buckets => ({ ...newBuckets(), mean });

test("a stack adds from the last line up, and keeps gaps", () => {
  const lines = [line([1, undefined, null, undefined]), line([2, 5, null, undefined]), line([3, 6, undefined, undefined])];
  stack(lines, 4);
  assert.deepEqual(
    lines.map((l) => l.mean),
    [
      [6, 11, null, undefined],
      [5, 11, null, undefined],
      [3, 6, null, undefined],
    ],
  );
  assert.deepEqual([lines[0].low, lines[0].high], [0, 11]);
});

test("a range grows at once and shrinks late", () => {
  const range = new CalmRange(0);
  assert.ok(range.update(4, 18, 0, false));
  const first = range.high;
  assert.ok(first >= 18);
  assert.ok(range.update(4, 95, 10, false));
  assert.ok(range.high >= 95);
  assert.ok(!range.update(4, 18, 20, false));
  assert.ok(!range.update(4, 18, 2000, false));
  assert.ok(range.update(4, 18, 2600, false));
  assert.equal(range.high, first);
  assert.equal(range.low, 0);
  assert.ok(!range.update(NaN, NaN, 9000, false));
});

test("equal readings have a range around them", () => {
  const range = new CalmRange();
  range.update(38, 38, 0, true);
  assert.ok(range.low < 38 && range.high > 38);
});
