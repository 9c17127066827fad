import assert from "node:assert/strict";
import { test } from "node:test";
import { toCsv, isoTime } from "../src/data/csv.ts";
import { ServerClock } from "../src/data/clock.ts";
import { Dataset } from "../src/data/dataset.ts";
import { outcomes } from "../src/data/outcomes.ts";
import { OverviewMaker } from "../src/data/overview.ts";
import { Scope } from "../src/data/scope.ts";
import type { Pairs, Session } from "../src/data/wire.ts";

const pairs = (t: number[], lat: number[], dropped: number[] = []): Pairs => ({
  pair: "a,b",
  t,
  lat_ms: lat,
  power_w: t.map(() => 200),
  energy_j: t.map(() => 1.5),
  frame: t.map((_, i) => i),
  dropped_t: dropped,
  dropped_frame: dropped.map(() => null),
});

const session = { id: "s", state: "recording", pairs: ["a,b"], devices: ["d"] } as unknown as Session;

test("messages fill the series, late pairs find their place", () => {
  const data = new Dataset();
  data.apply({ event: "session", data: session });
  data.apply({ event: "pairs", data: pairs([100, 116, 150], [5, 6, 7]) });
  data.apply({ event: "pairs", data: pairs([133], [8], [90]) });
  const { rows, drops } = data.track("a,b");
  assert.deepEqual([...rows.t.subarray(rows.start, rows.end)], [100, 116, 133, 150]);
  assert.equal(drops.length, 1);
  assert.equal(data.newest, 150);
  data.clear();
  assert.equal(data.pairs.size, 0);
  assert.equal(data.session, session);
});

test("the overview's figures are those of the stretch in view", () => {
  const data = new Dataset();
  data.apply({ event: "session", data: session });
  data.apply({ event: "pairs", data: pairs([1000, 1100, 1200, 1300], [4, 6, 8, 100], [1150, 1350]) });
  data.apply({ event: "power", data: { device: "d", t: [1000, 1100, 1200, 1300], cols: { sys_w: [100, 200, 300, null] } } });
  const scope = new Scope(data, true, () => 1250, () => 250);
  const o = new OverviewMaker().make(scope);
  assert.equal(o.latency.count, 3);
  assert.equal(o.latency.mean, 6);
  assert.equal(o.current_ms, 8);
  assert.equal(o.current_w, 300);
  assert.equal(o.mean_w, 200);
  assert.equal(o.dropped, 1);
  assert.equal(o.j_per_frame, 1.5);
  assert.equal(o.ms_per_w, 18 / 600);
  scope.hold({ from: 1250, to: 1400 });
  assert.equal(new OverviewMaker().make(scope).latency.count, 1);
});

test("what is old is not current", () => {
  const data = new Dataset();
  data.apply({ event: "session", data: session });
  data.apply({ event: "pairs", data: pairs([1000], [4]) });
  const scope = new Scope(data, true, () => 60_000, () => 60_000);
  assert.ok(Number.isNaN(new OverviewMaker().make(scope).current_ms));
});

test("a held stretch stands still, a live one follows, zoom and pan hold", () => {
  let now = 10_000;
  const data = new Dataset();
  data.apply({ event: "session", data: session });
  const scope = new Scope(data, true, () => now, () => 1000);
  assert.deepEqual(scope.range(), { from: 9000, to: 10_000 });
  scope.zoom(0.5, 10_000);
  now = 20_000;
  assert.deepEqual(scope.range(), { from: 9500, to: 10_000 });
  scope.pan(-1);
  assert.deepEqual(scope.range(), { from: 9000, to: 9500 });
  scope.zoom(1e-9);
  assert.deepEqual(scope.range(), { from: 9000, to: 9500 });
  scope.release();
  assert.deepEqual(scope.range(), { from: 19_000, to: 20_000 });
});

test("each frame of the first stage is paired, dropped or waiting", () => {
  const data = new Dataset();
  data.apply({ event: "session", data: session });
  data.apply({ event: "pairs", data: pairs([9000, 9500], [20, 30], [8100]) });
  data.apply({ event: "events", data: { stages: ["a", "b"], t: [9000, 9020, 9500, 9530, 9900], stage: [0, 1, 0, 1, 0], frame: [1, 1, 2, 2, 3], key_ns: [null, null, null, null, null] } });
  const scope = new Scope(data, true, () => 10_000, () => 1000);
  const all = outcomes(scope, 10_000);
  assert.deepEqual(
    all.map((o) => [o.state, o.a]),
    [
      ["dropped", 8100],
      ["paired", 9000],
      ["paired", 9500],
      ["open", 9900],
    ],
  );
  assert.equal(all[1].b, 9020);
});

test("the clock follows the least delayed stamp", () => {
  const clock = new ServerClock();
  assert.ok(Number.isNaN(clock.now(0)));
  clock.hear(1_000_100, 200);
  clock.hear(1_000_990, 1000);
  assert.equal(clock.now(2000), 1_001_990);
  clock.hear(1_001_900, 2000);
  assert.ok(clock.now(3000) > 1_002_985 && clock.now(3000) <= 1_002_990);
  clock.hear(5_000_000, 3000);
  assert.equal(clock.now(3000), 5_000_000);
});

test("CSV quotes what needs it and leaves missing readings empty", () => {
  const text = toCsv({ name: "x", header: ["a", "b,c"], rows: [[1.5, 'say "hi"'], [NaN, null], [true, "=1+1"]] });
  assert.equal(text, 'a,"b,c"\r\n1.5,"say ""hi"""\r\n,\r\ntrue,\'=1+1\r\n');
  assert.equal(isoTime(1732428000123.456), "2024-11-24T06:00:00.123456Z");
  assert.equal(isoTime(1732428000123), "2024-11-24T06:00:00.123000Z");
});
