// The server's half of API.md: shapes, units and order of what it sends, and how it refuses.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { server } from "./browser.mjs";

let srv;
before(async () => {
  srv = await server();
});
after(() => srv?.close());

const get = (path, options) => fetch(srv.url + path, options);

async function json(path) {
  const response = await get(path);
  assert.equal(response.status, 200, path);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.match(response.headers.get("cache-control") ?? "", /no-store/);
  return response.json();
}

const isTime = (t) => typeof t === "number" && t > 1e12 && t < 1e13;
const sorted = (t) => t.every((v, i) => i === 0 || t[i - 1] <= v);
const isReading = (v) => v === null || (typeof v === "number" && Number.isFinite(v));

function checkColumns(t, cols, what) {
  assert.ok(t.every(isTime) && sorted(t), `${what}: times`);
  for (const [name, col] of Object.entries(cols)) {
    assert.equal(col.length, t.length, `${what}: ${name} is as long as t`);
    assert.ok(col.every(isReading), `${what}: ${name} holds numbers and nulls`);
  }
}

const CHECKS = {
  session: (s) => s === null || checkSession(s),
  pairs: (p) => {
    const { pair, t, dropped_t, dropped_frame, lat_ms, power_w, energy_j, frame } = p;
    assert.match(pair, /^[^,]+,[^,]+$/);
    checkColumns(t, { lat_ms, power_w, energy_j, frame }, "pairs");
    checkColumns(dropped_t, { dropped_frame }, "drops");
    assert.ok(lat_ms.every((v) => v !== null), "a pair that arrived has a latency");
  },
  costs: (c) => {
    const { pair, t, frame, power_w, energy_j } = c;
    assert.match(pair, /^[^,]+,[^,]+$/);
    checkColumns(t, { frame, power_w, energy_j }, "costs");
    assert.ok(t.every((_, i) => power_w[i] !== null || energy_j[i] !== null), "a cost tells something");
  },
  power: (p) => {
    checkColumns(p.t, p.cols, "power");
    assert.ok("sys_w" in p.cols);
    assert.ok(Object.keys(p.cols).every((c) => c.endsWith("_w")));
    if (p.means) checkColumns(p.means.t, p.means.cols, "means");
  },
  channels: (c) => {
    for (const s of c.series) {
      checkColumns(s.t, s.cols, `${s.table}/${s.key}`);
      assert.equal(typeof s.source, "string");
      assert.equal(typeof s.attrs, "object");
    }
    const ids = c.series.map((s) => `${s.table}/${s.key}`);
    assert.equal(new Set(ids).size, ids.length, "one series a key");
  },
  events: (e) => {
    checkColumns(e.t, { frame: e.frame, key_ns: e.key_ns }, "events");
    assert.ok(e.stage.every((s) => typeof e.stages[s] === "string"));
  },
  marks: (m) => {
    assert.ok(m.marks.every((x) => isTime(x.t) && ["begin", "end", "point"].includes(x.kind)));
    for (const flow of m.flows) for (const step of flow.steps) if (step.target_ms === null) assert.equal(step.met, null);
  },
  status: (s) => {
    assert.ok(isTime(s.now));
    for (const list of ["sources", "alignment", "exporters", "devices", "health"]) assert.ok(Array.isArray(s[list]), list);
    s.devices.forEach(checkBoard);
    for (const x of s.sources) assert.ok(["starting", "up", "waiting", "stale", "ended"].includes(x.state), x.state);
  },
};

function checkBoard(b) {
  assert.equal(typeof b.uid, "string");
  for (const name of ["model", "name", "port"]) assert.ok(b[name] === null || typeof b[name] === "string", name);
  for (const name of ["vendor_id", "product_id", "firmware"]) assert.ok(b[name] === null || (Number.isInteger(b[name]) && b[name] < 256), name);
  assert.ok([null, true, false].includes(b.calibration_valid));
}

function checkSession(s) {
  assert.equal(typeof s.id, "string");
  assert.ok(["recording", "ended", "crashed"].includes(s.state));
  assert.ok(isTime(s.started));
  assert.ok(s.ended === null || s.ended >= s.started);
  for (const list of ["pairs", "sources", "devices"]) assert.ok(Array.isArray(s[list]), list);
}

/** Reads messages of the stream until `enough` says so. */
async function stream(query, enough, headers = {}) {
  const abort = new AbortController();
  const response = await get(`/api/stream${query}`, { headers, signal: AbortSignal.any([abort.signal, AbortSignal.timeout(15_000)]) });
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
  const messages = [];
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const fields = Object.fromEntries(text.slice(0, end).split("\n").filter((l) => !l.startsWith(":")).map((l) => l.split(/: ?(.*)/s)));
      text = text.slice(end + 2);
      if (fields.event) messages.push({ event: fields.event, id: fields.id, data: JSON.parse(fields.data) });
    }
    if (enough(messages)) break;
  }
  abort.abort();
  return messages;
}

const timesOf = (messages, pair) => messages.filter((m) => m.event === "pairs" && m.data.pair === pair).flatMap((m) => m.data.t);

test("/api/live: rows for older clients, and the window for the page", { timeout: 30_000 }, async () => {
  const small = await json("/api/live");
  assert.ok(small.rows.length > 0 && small.rows.length <= 300);
  assert.ok(small.rows.every((r) => isTime(r.t) && typeof r.lat_ms === "number" && isReading(r.power_w)));
  assert.deepEqual(small.events, []);
  const live = await json("/api/live?window=30");
  assert.equal(typeof live.id, "string");
  assert.ok(isTime(live.now));
  const names = live.events.map((m) => m.event);
  for (const name of Object.keys(CHECKS).filter((name) => name !== "costs")) assert.ok(names.includes(name), `${name} is in the window`);
  for (const m of live.events) CHECKS[m.event](m.data);
  const pairs = live.events.find((m) => m.event === "pairs").data;
  assert.ok(pairs.t.every((t) => t >= live.now - 35_000 && t <= live.now + 1000));
  const one = await json(`/api/live?window=30&pair=${encodeURIComponent(pairs.pair)}`);
  assert.ok(one.events.filter((m) => m.event === "pairs").every((m) => m.data.pair === pairs.pair));
});

test("/api/live?since= goes on from where it was, without loss or repetition", { timeout: 30_000 }, async () => {
  const first = await json("/api/live?window=10");
  const { pair } = first.events.find((m) => m.event === "pairs").data;
  await new Promise((done) => setTimeout(done, 1200));
  const next = await json(`/api/live?since=${encodeURIComponent(first.id)}`);
  assert.equal(next.reset, false);
  const [a, b] = [timesOf(first.events, pair), timesOf(next.events, pair)];
  assert.ok(b.length > 0);
  assert.equal(new Set([...a, ...b]).size, a.length + b.length, "no pair comes twice");
  const lost = await json("/api/live?since=no-such-id&window=5");
  assert.equal(lost.reset, true);
  assert.ok(lost.events.length > 0);
});

test("/api/stream: every message in its shape, resumed by id", { timeout: 60_000 }, async () => {
  const names = ["pairs", "power", "channels", "events", "status"];
  const all = await stream("", (m) => names.every((n) => m.some((x) => x.event === n)) && m.length > 30);
  assert.deepEqual(new Set(all.slice(0, 3).map((m) => m.event)), new Set(["session", "marks", "status"]));
  for (const m of all) {
    assert.ok(m.id, `${m.event} has an id`);
    CHECKS[m.event]?.(m.data);
  }
  const cut = all.findIndex((m, i) => i > 8 && m.event === "pairs");
  const { pair } = all[cut].data;
  const seen = timesOf(all.slice(0, cut + 1), pair);
  for (const [query, headers] of [[`?since=${encodeURIComponent(all[cut].id)}`, {}], ["", { "last-event-id": all[cut].id }]]) {
    const rest = await stream(query, (m) => timesOf(m, pair).length > 5, headers);
    assert.ok(!rest.some((m) => m.event === "reset"));
    assert.ok(timesOf(rest, pair).every((t) => !seen.includes(t)), "nothing comes twice");
  }
  const unknown = await stream("?since=no-such-id", (m) => m.some((x) => x.event === "reset"));
  assert.ok(unknown.some((m) => m.event === "reset"));
});

test("sessions and their routes", { timeout: 60_000 }, async () => {
  const { sessions, next } = await json("/api/sessions");
  assert.ok(sessions.length > 0);
  sessions.forEach(checkSession);
  assert.ok(next === null || typeof next === "string");
  const page = await json("/api/sessions?limit=1");
  assert.equal(page.sessions.length, 1);
  if (page.next) assert.notEqual((await json(`/api/sessions?limit=1&before=${encodeURIComponent(page.next)}`)).sessions[0].id, page.sessions[0].id);
  const s = sessions.find((x) => x.pairs.length && x.devices.length) ?? sessions[0];
  const at = `/api/sessions/${encodeURIComponent(s.id)}`;
  const one = await json(at);
  checkSession(one.session);
  assert.deepEqual(one.boards.map((b) => b.uid), s.devices);
  one.boards.forEach(checkBoard);
  const points = 200;
  const latency = await json(`${at}/latency?points=${points}`);
  CHECKS.pairs(latency);
  assert.ok(latency.total >= latency.t.length);
  assert.equal(latency.exact, latency.total === latency.t.length);
  assert.ok(latency.t.length <= 4 * points || latency.exact);
  const summary = await json(`${at}/summary`);
  assert.equal(summary.pair, s.pairs[0] ?? null);
  if (s.state !== "recording" && latency.t.length) {
    assert.equal(summary.latency.count, latency.total);
    assert.equal(Math.min(...latency.lat_ms), summary.latency.min_ms, "thinning keeps the minimum");
    assert.equal(Math.max(...latency.lat_ms), summary.latency.max_ms, "thinning keeps the maximum");
  }
  const h = summary.histogram;
  assert.ok(h.count.length === 0 || h.edges_ms.length === h.count.length + 1);
  const rails = await json(`${at}/rails?points=${points}`);
  CHECKS.power(rails);
  CHECKS.channels(await json(`${at}/channels?points=${points}`));
  CHECKS.marks(await json(`${at}/marks`));
  const timeline = await json(`${at}/timeline?points=${points}`);
  const { bin_s, t, ...cols } = timeline;
  assert.ok(Number.isInteger(bin_s) && bin_s >= 1 && t.length <= points + 1);
  checkColumns(t, cols, "timeline");
});

test("status, health, and how wrong input is refused", { timeout: 30_000 }, async () => {
  CHECKS.status(await json("/api/status"));
  assert.equal((await json("/healthz")).status, "ok");
  const { sessions } = await json("/api/sessions");
  const id = encodeURIComponent(sessions[0].id);
  const wrong = { "/api/live?window=0": 400, "/api/live?window=1e9": 400, "/api/live?pair=no,such": 400, "/api/sessions?limit=0": 400, "/api/sessions/no-such-session": 404, "/api/sessions/no-such-session/summary": 404, "/api/nothing": 404, "/no-such-file.js": 404, [`/api/sessions/${id}/latency?points=1`]: 400, [`/api/sessions/${id}/latency?from=5&to=4`]: 400, [`/api/sessions/${id}/nothing`]: 404 };
  for (const [path, status] of Object.entries(wrong)) {
    const response = await get(path);
    assert.equal(response.status, status, path);
    assert.match(response.headers.get("content-type"), /^application\/problem\+json/, path);
    const problem = await response.json();
    assert.equal(problem.status, status, path);
    assert.ok(problem.title && problem.detail, path);
  }
  assert.equal((await get("/api/live", { method: "POST" })).status, 405);
});

test("the page comes with its headers", { timeout: 30_000 }, async () => {
  const index = await get("/");
  assert.equal(index.status, 200);
  assert.match(index.headers.get("content-security-policy"), /default-src 'self'/);
  assert.ok(!/unsafe|https?:/.test(index.headers.get("content-security-policy")));
  assert.equal(index.headers.get("x-content-type-options"), "nosniff");
  const asset = /src="(\/assets\/[^"]+)"/.exec(await index.text())[1];
  const response = await get(asset);
  assert.match(response.headers.get("cache-control"), /immutable/);
  assert.match(response.headers.get("content-type"), /javascript/);
});
