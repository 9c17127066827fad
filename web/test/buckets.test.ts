import assert from "node:assert/strict";
import { test } from "node:test";
import { centres, grid, newBuckets, thin } from "../src/data/buckets.ts";
import { Ring } from "../src/data/ring.ts";
import { Random } from "./random.ts";

test("every bucket holds the extremes and the mean of its rows", () => {
  const random = new Random(7);
  for (let round = 0; round < 50; round++) {
    const ring = new Ring(5000);
    let t = 1.7e12;
    const times: number[] = [];
    const values: (number | null)[] = [];
    for (let i = 0; i < 2000; i++) {
      times.push((t += 1 + random.next() * 20));
      values.push(random.below(20) === 0 ? null : random.next() * 100 - 50);
    }
    ring.append(times, { v: values });
    const from = times[random.below(900)];
    const to = times[1000 + random.below(999)];
    const g = grid(from, to, 1 + random.below(400), 50);
    const b = thin(ring, "v", g, newBuckets());
    const naive: number[][] = Array.from({ length: g.count }, () => []);
    times.forEach((time, i) => {
      const k = Math.floor((time - g.from) / g.width);
      if (time >= g.from && time < g.from + g.count * g.width && values[i] !== null) naive[Math.min(k, g.count - 1)].push(values[i]!);
    });
    naive.forEach((own, k) => {
      if (own.length === 0) return assert.ok(b.mean[k] == null);
      assert.equal(b.min[k], Math.min(...own));
      assert.equal(b.max[k], Math.max(...own));
      assert.ok(Math.abs(b.mean[k]! - own.reduce((x, y) => x + y) / own.length) < 1e-9);
    });
    const all = naive.flat();
    assert.equal(b.low, Math.min(...all));
    assert.equal(b.high, Math.max(...all));
  }
});

test("no peak is lost, however many rows share a pixel", () => {
  const ring = new Ring(100_000, Infinity);
  const t = Array.from({ length: 90_000 }, (_, i) => i * 10);
  const v = t.map(() => 5);
  v[43_210] = 99;
  v[43_211] = -3;
  ring.append(t, { v });
  const b = thin(ring, "v", grid(0, 900_000, 1400, 0), newBuckets());
  assert.equal(b.high, 99);
  assert.equal(b.low, -3);
});

test("buckets keep their rows while the view scrolls", () => {
  const a = grid(1000, 61_000, 1200, 0);
  const b = grid(1003, 61_003, 1200, 0);
  assert.equal(a.width, b.width);
  assert.equal(((b.from - a.from) / a.width) % 1, 0);
  assert.equal(centres(a, []).length, a.count);
});

test("the view is covered, with its margin", () => {
  const g = grid(1000, 2000, 97, 40);
  assert.ok(g.from <= 960 && g.from + g.count * g.width >= 2040);
});

test("a gap is marked in every bucket between, sparse rows are joined", () => {
  const dense = new Ring(1000);
  const t = [...Array.from({ length: 50 }, (_, i) => i * 20), ...Array.from({ length: 50 }, (_, i) => 3000 + i * 20)];
  dense.append(t, { v: t.map(() => 1) });
  const b = thin(dense, "v", grid(0, 4000, 400, 0), newBuckets());
  assert.equal(b.mean[200], null);
  assert.equal(b.mean[150], null);
  assert.equal(b.mean[1], undefined);
  const sparse = new Ring(1000);
  sparse.append([0, 500, 1000, 1500], { v: [1, 2, 3, 4] });
  assert.ok(!thin(sparse, "v", grid(0, 1500, 300, 0), newBuckets()).mean.includes(null));
});

test("missing readings alone in a bucket are a gap, and none at all is nothing", () => {
  const ring = new Ring(10);
  ring.append([0, 10, 20], { v: [1, null, 3] });
  const b = thin(ring, "v", grid(0, 30, 3, 0), newBuckets());
  assert.equal(b.mean[1], null);
  const none = thin(ring, "other", grid(0, 30, 3, 0), newBuckets());
  assert.ok(Number.isNaN(none.low) && none.mean.every((y) => y === undefined));
  assert.ok(Number.isNaN(thin(undefined, "v", grid(0, 30, 3, 0), newBuckets()).high));
});
