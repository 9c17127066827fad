import assert from "node:assert/strict";
import { test } from "node:test";
import { Ring } from "../src/data/ring.ts";
import { Random } from "./random.ts";

/** Rows of a ring as a plain list. */
function rows(ring: Ring, name = "v"): [number, number][] {
  const col = ring.column(name);
  return Array.from({ length: ring.length }, (_, i) => [ring.t[ring.start + i], col[ring.start + i]]);
}

test("keeps the newest rows, however they come in", () => {
  const random = new Random(1);
  for (let round = 0; round < 40; round++) {
    const limit = 1 + random.below(300);
    const ring = new Ring(limit);
    let naive: [number, number][] = [];
    let t = 0;
    for (let batch = 0; batch < 60; batch++) {
      const times: number[] = [];
      for (let k = random.below(40); k > 0; k--) times.push((t += 1 + random.below(5)) - (random.below(10) === 0 ? random.below(30) : 0));
      times.sort((a, b) => a - b);
      const values = times.map(() => random.below(1000));
      ring.append(times, { v: values });
      times.forEach((time, i) => {
        if (naive.length === limit) {
          if (time <= naive[0][0]) return;
          naive.shift();
        }
        let at = naive.length;
        while (at > 0 && naive[at - 1][0] > time) at--;
        naive.splice(at, 0, [time, values[i]]);
      });
      assert.deepEqual(rows(ring), naive);
    }
  }
});

test("drops what is older than its span", () => {
  const ring = new Ring(1000, 100);
  for (let t = 0; t <= 1000; t += 10) ring.append([t], { v: [t] });
  assert.equal(ring.first, 900);
  assert.equal(ring.last, 1000);
  assert.equal(ring.length, 11);
});

test("a column that comes later is missing before, and null is missing", () => {
  const ring = new Ring(10);
  ring.append([1], { a: [5] });
  ring.append([2], { a: [null], b: [7] });
  ring.append([3], { b: [8] });
  assert.deepEqual([...ring.column("a").subarray(0, 3)], [5, NaN, NaN]);
  assert.deepEqual([...ring.column("b").subarray(0, 3)], [NaN, 7, 8]);
  assert.equal(ring.latest("b"), 8);
  assert.ok(Number.isNaN(ring.latest("nothing")));
});

test("holds 90,000 rows and no more memory than twice that", () => {
  const ring = new Ring(90_000);
  for (let i = 0; i < 250_000; i += 100) {
    const t = Array.from({ length: 100 }, (_, k) => i + k);
    ring.append(t, { v: t });
  }
  assert.equal(ring.length, 90_000);
  assert.equal(ring.first, 160_000);
  assert.ok(ring.t.length <= 180_000);
});

test("finds rows by time", () => {
  const ring = new Ring(100);
  ring.append([10, 20, 20, 30], { v: [1, 2, 3, 4] });
  assert.equal(ring.lower(5) - ring.start, 0);
  assert.equal(ring.lower(20) - ring.start, 1);
  assert.equal(ring.lower(21) - ring.start, 3);
  assert.equal(ring.lower(31) - ring.start, 4);
  assert.equal(ring.nearest(24) - ring.start, 2);
  assert.equal(ring.nearest(26) - ring.start, 3);
  assert.equal(ring.nearest(-5) - ring.start, 0);
  assert.equal(new Ring(4).nearest(1), -1);
});

test("puts late readings into their rows, and leaves the others", () => {
  const ring = new Ring(10);
  ring.append([10, 20, 20, 30], { frame: [1, 2, 3, null], w: [null, null, null, null] });
  const before = ring.version;
  ring.amend([20, 30, 40, 10], "frame", [3, null, 5, 9], { w: [230, 300, 400, 100], j: [1, null, 2, 3] });
  assert.deepEqual([...ring.column("w").subarray(0, 4)], [NaN, NaN, 230, 300]);
  assert.deepEqual([...ring.column("j").subarray(0, 4)], [NaN, NaN, 1, NaN]);
  assert.equal(ring.length, 4);
  assert.ok(ring.version > before);
});
