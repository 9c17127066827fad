// DEVELOPMENT STAND-IN for `bl serve`: synthetic data over the contract of API.md, for working on the page and for its own
// tests. It records nothing and measures nothing. Its data is a function of time alone, see signals.mjs.
//
//   node dev/server.mjs [--port 3010] [--hz 50] [--fps 60] [--boards 2] [--empty]
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as answers from "./answers.mjs";
import { PAIRS, boardBody, channels, makeSession, marks, pairs, powerRows, sessionBody, stageEvents, status } from "./world.mjs";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const HEADERS = {
  "content-security-policy": "default-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const KEPT_MS = 900_000;

/** Starts the stand-in; resolves to `{url, close}`. */
export function start({ port = 0, hz = 50, fps = 60, boards = 2, empty = false } = {}) {
  const started = Date.now();
  const day = (d, h) => started - d * 86_400_000 - h * 3_600_000;
  const live = makeSession({ started: started - 20 * 60_000, seed: 1, hz, fps, boards, state: "recording" });
  const past = [
    makeSession({ started: day(0, 3), length_s: 600, seed: 2 }),
    makeSession({ started: day(1, 1), length_s: 600, seed: 4, fps: 60 }),
    makeSession({ started: day(1, 5), length_s: 2400, seed: 3 }),
    makeSession({ started: day(2, 2), length_s: 95, seed: 6, boards: 0, gpu: false, simulated: false }),
    makeSession({ started: day(6, 4), length_s: 300, seed: 7, pairs: [], state: "crashed" }),
  ];
  const world = { live: empty ? null : live, sessions: empty ? [] : [live, ...past], started, clients: 0 };
  const server = createServer((request, response) => route(world, request, response));
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      resolve({
        url: `http://127.0.0.1:${server.address().port}`,
        close: () => (server.closeAllConnections(), new Promise((done) => server.close(done))),
      });
    });
  });
}

function route(world, request, response) {
  const url = new URL(request.url, "http://localhost");
  if (request.method !== "GET" && request.method !== "HEAD") return problem(response, 405, "Method Not Allowed", "only GET and HEAD are answered");
  if (url.pathname === "/api/stream") return stream(world, url.searchParams, request, response);
  if (url.pathname === "/api/live") return live(world, url.searchParams, response);
  if (url.pathname === "/api/status") return json(response, status(world.live, Date.now(), { ...world, sessions: world.sessions.length }));
  if (url.pathname === "/healthz") return json(response, { status: "ok" });
  if (url.pathname === "/api/sessions") return sessions(world, url.searchParams, response);
  const match = /^\/api\/sessions\/([^/]+)(?:\/([a-z]+))?$/.exec(url.pathname);
  if (match) return session(world, decodeURIComponent(match[1]), match[2], url.searchParams, response);
  if (url.pathname.startsWith("/api/")) return problem(response, 404, "Not Found", `no route ${url.pathname}`);
  return file(url.pathname, response);
}

function json(response, body, code = 200, type = "application/json") {
  response.writeHead(code, { ...HEADERS, "content-type": type, "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

function problem(response, code, title, detail) {
  json(response, { type: "about:blank", title, status: code, detail }, code, "application/problem+json");
}

function file(path, response) {
  const name = normalize(path === "/" ? "/index.html" : path);
  const full = join(DIST, name);
  if (!full.startsWith(DIST) || !existsSync(full)) return problem(response, 404, "Not Found", `no file ${path}`);
  const cache = name.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
  response.writeHead(200, { ...HEADERS, "content-type": TYPES[extname(name)] ?? "application/octet-stream", "cache-control": cache });
  createReadStream(full).pipe(response);
}

const idAt = (world, t) => `${world.started.toString(36)}-${t}`;

/** The time that an id stands for, null when this server does not have it. */
function timeOf(world, id, now) {
  const [boot, t] = (id ?? "").split("-");
  const time = Number(t);
  return boot === world.started.toString(36) && now - time < KEPT_MS ? time : null;
}

/** Messages with what came in `from < t <= to`. */
function messages(world, from, to, pair) {
  const s = world.live;
  if (!s) return [];
  const out = [];
  for (const name of pair ? [pair] : s.pairs) {
    const data = pairs(s, name, from, to);
    if (data.t.length || data.dropped_t.length) out.push({ event: "pairs", data });
  }
  for (const board of s.boards) {
    const data = powerRows(s, board, from, to);
    if (data.t.length) out.push({ event: "power", data });
  }
  const slow = channels(s, from, to);
  if (slow.series.length) out.push({ event: "channels", data: slow });
  const events = stageEvents(s, Math.max(from, to - 2000), to);
  if (events.t.length) out.push({ event: "events", data: events });
  return out;
}

function head(world, now) {
  const s = world.live;
  return [
    { event: "session", data: s && sessionBody(s, now) },
    { event: "marks", data: s ? marks(s, now) : { marks: [], flows: [] } },
    { event: "status", data: status(s, now, { ...world, sessions: world.sessions.length }) },
  ];
}

function live(world, query, response) {
  const now = Date.now();
  const pair = query.get("pair");
  if (pair !== null && !PAIRS.includes(pair)) return problem(response, 400, "Bad Request", `no pair '${pair}'; the session has ${PAIRS.join(" and ")}`);
  const window = query.has("window") ? Number(query.get("window")) : null;
  if (window !== null && !(window >= 1 && window <= 900)) return problem(response, 400, "Bad Request", "window must be 1 to 900 seconds");
  const since = query.has("since") ? timeOf(world, query.get("since"), now) : null;
  const reset = query.has("since") && since === null;
  const whole = since === null && (window !== null || reset);
  const from = since ?? Math.max(now - 1000 * (window ?? 900), world.live?.started ?? 0);
  const events = since !== null || whole ? [...head(world, now), ...messages(world, from, now, pair)] : [];
  const last = world.live ? pairs(world.live, pair ?? PAIRS[0], now - 8000, now) : { t: [] };
  const rows = last.t.map((t, i) => ({ t, lat_ms: last.lat_ms[i], power_w: last.power_w[i] })).slice(-300);
  json(response, { rows, id: idAt(world, now), now, reset, session: world.live && sessionBody(world.live, now), events });
}

function stream(world, query, request, response) {
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream", "cache-control": "no-store" });
  const asked = request.headers["last-event-id"] ?? query.get("since");
  let last = asked ? timeOf(world, asked, Date.now()) : Date.now();
  const send = (event, data, t) => response.write(`id: ${idAt(world, t)}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  response.write("retry: 1000\n\n");
  if (last === null) {
    last = Date.now();
    send("reset", {}, last);
  }
  for (const m of head(world, Date.now())) send(m.event, m.data, last);
  let second = Math.floor(Date.now() / 1000);
  world.clients++;
  const timer = setInterval(() => {
    const now = Date.now();
    for (const m of messages(world, last, now, query.get("pair"))) send(m.event, m.data, now);
    last = now;
    if (Math.floor(now / 1000) !== second) {
      second = Math.floor(now / 1000);
      for (const m of head(world, now).slice(second % 10 ? 2 : 0)) send(m.event, m.data, now);
    }
  }, 100);
  request.on("close", () => {
    clearInterval(timer);
    world.clients--;
  });
}

function sessions(world, query, response) {
  const limit = query.has("limit") ? Number(query.get("limit")) : 200;
  if (!(limit >= 1 && limit <= 1000)) return problem(response, 400, "Bad Request", "limit must be 1 to 1000");
  const now = Date.now();
  const all = world.sessions.map((s) => sessionBody(s, now)).filter((s) => !query.has("before") || s.id < query.get("before"));
  const page = all.slice(0, limit);
  json(response, { sessions: page, next: page.length < all.length ? page.at(-1).id : null });
}

function session(world, id, part, query, response) {
  const s = world.sessions.find((x) => x.id === id);
  if (!s) return problem(response, 404, "Not Found", `no session '${id}'; bl sessions lists them`);
  const now = Date.now();
  if (!part) return json(response, { session: sessionBody(s, now), boards: s.boards.map(boardBody) });
  const a = answers.arguments_(s, query, now);
  if (typeof a === "string") return problem(response, 400, "Bad Request", a);
  const board = s.boards.find((b) => b.uid === query.get("device")) ?? s.boards[0];
  const parts = {
    summary: () => answers.summary(s, board, a, now),
    timeline: () => answers.timeline(s, a),
    latency: () => answers.latency(s, a),
    rails: () => answers.rails(s, board, a),
    channels: () => answers.slowRows(s, a, query.get("table")?.split(",")),
    marks: () => marks(s, now),
  };
  if (!Object.hasOwn(parts, part)) return problem(response, 404, "Not Found", `no route ${part} of a session`);
  json(response, parts[part]());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { port: { type: "string" }, hz: { type: "string" }, fps: { type: "string" }, boards: { type: "string" }, empty: { type: "boolean" } } });
  const { url } = await start({ port: Number(values.port ?? 3010), hz: Number(values.hz ?? 50), fps: Number(values.fps ?? 60), boards: Number(values.boards ?? 2), empty: values.empty });
  console.error(`stand-in (synthetic data) at ${url}`);
}
