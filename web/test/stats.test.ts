import assert from "node:assert/strict";
import { test } from "node:test";
import { Ring } from "../src/data/ring.ts";
import { correlation, figures, greatest, histogram, integral, niceStep, percentile, readings, total } from "../src/data/stats.ts";
import { Random } from "./random.ts";

function ringOf(t: number[], cols: Record<string, (number | null)[]>): Ring {
  const ring = new Ring(100_000);
  ring.append(t, cols);
  return ring;
}

const near = (a: number, b: number, tolerance = 1e-9): void => assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not ${b}`);

test("percentiles are those of a sort with linear interpolation", () => {
  const random = new Random(3);
  for (let round = 0; round < 300; round++) {
    const n = 1 + random.below(200);
    const values = Float64Array.from({ length: n }, () => (round % 3 ? random.next() * 50 : random.below(6)));
    const sorted = [...values].sort((a, b) => a - b);
    for (const p of [0, 0.5, 0.95, 0.99, 1]) {
      const rank = p * (n - 1);
      const low = sorted[Math.floor(rank)];
      const high = sorted[Math.ceil(rank)];
      near(percentile(values.slice(), p), low + (rank - Math.floor(rank)) * (high - low));
    }
    const f = figures(values.slice());
    near(f.mean, sorted.reduce((a, b) => a + b) / n);
    assert.equal(f.min, sorted[0]);
    assert.equal(f.max, sorted[n - 1]);
  }
  assert.ok(Number.isNaN(percentile(new Float64Array(0), 0.5)));
  assert.ok(Number.isNaN(figures(new Float64Array(0)).mean));
});

test("readings are those of the stretch, without missing ones", () => {
  const ring = ringOf([0, 1, 2, 3, 4], { v: [10, null, 12, 13, 14] });
  assert.deepEqual([...readings(ring, "v", 1, 4)], [12, 13]);
  assert.deepEqual([...readings(ring, "none", 0, 9)], []);
  assert.deepEqual(total(ring, "v", 0, 5), { sum: 49, count: 4 });
  assert.equal(greatest(ring, "v", 0, 4), 13);
  assert.ok(Number.isNaN(greatest(ring, "v", 1, 2)));
});

test("correlation is Pearson's, over rows that have both", () => {
  const random = new Random(11);
  const n = 500;
  const x: (number | null)[] = [];
  const y: (number | null)[] = [];
  for (let i = 0; i < n; i++) {
    const a = 1e6 + random.next();
    x.push(i % 17 ? a : null);
    y.push(i % 13 ? 3 * a + random.next() : null);
  }
  const ring = ringOf(
    Array.from({ length: n }, (_, i) => i),
    { x, y },
  );
  const both = x.flatMap((a, i) => (a !== null && y[i] !== null ? [[a, y[i]!]] : []));
  const mx = both.reduce((s, [a]) => s + a, 0) / both.length;
  const my = both.reduce((s, [, b]) => s + b, 0) / both.length;
  const xy = both.reduce((s, [a, b]) => s + (a - mx) * (b - my), 0);
  const xx = both.reduce((s, [a]) => s + (a - mx) ** 2, 0);
  const yy = both.reduce((s, [, b]) => s + (b - my) ** 2, 0);
  near(correlation(ring, "x", "y", 0, n), xy / Math.sqrt(xx * yy), 1e-6);
  const line = ringOf([0, 1, 2], { x: [1, 2, 3], y: [6, 4, 2] });
  near(correlation(line, "x", "y", 0, 9), -1);
  assert.ok(Number.isNaN(correlation(ringOf([0, 1], { x: [1, 1], y: [2, 3] }), "x", "y", 0, 9)));
  assert.ok(Number.isNaN(correlation(line, "x", "y", 0, 1)));
});

test("a histogram counts every reading once, in round bins", () => {
  const random = new Random(5);
  for (let round = 0; round < 100; round++) {
    const values = Float64Array.from({ length: 1 + random.below(400) }, () => random.next() * 10 ** random.below(4));
    const h = histogram(values);
    assert.equal(
      h.count.reduce((a, b) => a + b),
      values.length,
    );
    assert.equal(h.edges.length, h.count.length + 1);
    assert.ok(h.count.length <= 41);
    h.count.forEach((n, i) => {
      const own = values.filter((v) => v >= h.edges[i] && v < h.edges[i + 1]).length;
      assert.ok(Math.abs(own - n) <= 1); // a reading on an edge may round to either side
    });
  }
  assert.deepEqual(histogram(new Float64Array(0)), { edges: [], count: [], total: 0 });
  assert.deepEqual([0.3, 1, 1.2, 3, 7, 60].map(niceStep), [0.5, 1, 2, 5, 10, 100]);
});

test("an integral is the trapezoid, and nothing across a gap or a missing reading", () => {
  const t = Array.from({ length: 101 }, (_, i) => i * 10);
  near(integral(ringOf(t, { w: t.map(() => 200) }), "w", 0, 1001), 200);
  near(integral(ringOf(t, { w: t.map((x) => x) }), "w", 0, 1001), 500);
  const gap = [...t, ...t.map((x) => x + 5000)];
  near(integral(ringOf(gap, { w: gap.map(() => 200) }), "w", 0, 1e9), 400);
  near(integral(ringOf([0, 10, 20, 30], { w: [100, null, 100, 100] }), "w", 0, 99), 1);
  assert.ok(Number.isNaN(integral(undefined, "w", 0, 1)));
});
