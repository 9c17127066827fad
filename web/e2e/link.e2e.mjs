// The connection: one stream, closed while hidden, resumed by id, polling as fall-back, and what is said when there is nothing.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SIZES, browser, page, server } from "./browser.mjs";

let srv;
let chrome;
before(async () => {
  srv = await server();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await srv?.close();
});

async function open(prepare = async () => {}) {
  const context = await chrome.context({ viewport: SIZES.wide });
  const { tab, faults } = await page(context, srv.url);
  const streams = [];
  tab.on("request", (r) => r.url().includes("/api/stream") && streams.push(r.url()));
  await prepare(tab);
  await tab.goto(srv.url);
  return { context, tab, faults, streams };
}

const says = (tab, word) => tab.waitForFunction((w) => document.querySelector(".status")?.textContent?.includes(w), word, { timeout: 20_000 });

/** Makes the page believe that it is hidden, or seen again. */
const setHidden = (tab, hidden) =>
  tab.evaluate((h) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => h });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

test("one stream, closed while hidden and resumed by id", { timeout: 60_000 }, async () => {
  const { context, tab, faults, streams } = await open();
  await says(tab, "Live");
  assert.equal(streams.length, 1);
  const closed = tab.waitForEvent("requestfailed", (r) => r.url().includes("/api/stream"));
  await setHidden(tab, true);
  await closed;
  await tab.waitForTimeout(500);
  assert.equal(streams.length, 1, "no stream while hidden");
  const again = tab.waitForRequest((r) => r.url().includes("/api/stream"));
  await setHidden(tab, false);
  assert.match((await again).url(), /since=[^&]+/);
  await says(tab, "Live");
  await tab.goto(`${srv.url}/#/power`);
  await tab.waitForSelector(".split");
  assert.equal(streams.length, 2, "another view opens no other stream");
  assert.deepEqual(faults, []);
  await context.close();
});

test("polling takes over when the stream does not come through", { timeout: 60_000 }, async () => {
  const { context, tab } = await open((t) => t.route("**/api/stream*", (r) => r.abort()));
  await says(tab, "by polling");
  const version = await tab.locator("[data-card=mean] b").innerText();
  await tab.waitForRequest((r) => r.url().includes("/api/live") && r.url().includes("since="));
  await tab.waitForFunction((v) => document.querySelector("[data-card=mean] b")?.textContent !== v, version, { timeout: 15_000 });
  await context.close();
});

test("a server that goes away is noticed, and found again", { timeout: 90_000 }, async () => {
  const { context, tab } = await open();
  await says(tab, "Live");
  await tab.waitForSelector(".card b");
  await tab.route("**/api/**", (r) => r.abort());
  await setHidden(tab, true);
  await setHidden(tab, false);
  await says(tab, "No connection");
  await tab.waitForSelector(".notice[role=alert]");
  assert.ok((await tab.locator(".card").count()) >= 8, "what is there stays");
  await tab.unroute("**/api/**");
  await tab.locator(".notice button").click();
  await says(tab, "Live");
  await tab.waitForFunction(() => !document.querySelector(".notice"));
  await context.close();
});

test("a reset loads everything again", { timeout: 60_000 }, async () => {
  let first = true;
  const { context, tab, faults } = await open((t) =>
    t.route("**/api/stream*", (r) => {
      if (!first) return r.continue();
      first = false;
      return r.fulfill({ contentType: "text/event-stream", body: "id: x\nevent: lagged\ndata: {\"missed\":3}\n\n" });
    }),
  );
  await says(tab, "Live");
  assert.equal(first, false);
  assert.deepEqual(faults, []);
  await context.close();
});

const nothing = (id) => ({ rows: [], id, now: Date.now(), reset: false, session: null, events: [] });

test("nothing recorded, no sessions, no status: each says what to do", { timeout: 60_000 }, async () => {
  const { context, tab, faults } = await open(async (t) => {
    await t.route("**/api/live*", (r) => r.fulfill({ json: nothing("n-1") }));
    await t.route("**/api/stream*", (r) => r.fulfill({ contentType: "text/event-stream", body: 'id: n-1\nevent: session\ndata: null\n\n' }));
    await t.route("**/api/sessions?*", (r) => r.fulfill({ json: { sessions: [], next: null } }));
  });
  for (const view of ["overview", "power", "thermal", "host", "device", "flow", "pairing"]) {
    await tab.goto(`${srv.url}/#/${view}`);
    await tab.waitForFunction(() => document.querySelector(".empty code")?.textContent?.startsWith("bl ingest"));
  }
  await tab.goto(`${srv.url}/#/sessions`);
  await tab.waitForFunction(() => document.querySelector(".empty h2")?.textContent === "No sessions yet");
  assert.match(await tab.locator(".empty .command code").innerText(), /^bl ingest/);
  await tab.goto(`${srv.url}/#/compare`);
  await tab.waitForFunction(() => document.querySelector(".empty h2")?.textContent?.startsWith("Choose two sessions"));
  assert.deepEqual(faults, []);
  await context.close();
});

test("a session without board and frames says what is missing", { timeout: 60_000 }, async () => {
  const session = { id: "bare", node: "n", state: "recording", started: Date.now() - 1000, ended: null, duration_s: 1, simulated: false, pairs: [], sources: [], devices: [], rows: {}, bytes: 0 };
  const { context, tab } = await open(async (t) => {
    await t.route("**/api/live*", (r) => r.fulfill({ json: { ...nothing("n-1"), session } }));
    await t.route("**/api/stream*", (r) => r.abort());
  });
  const titles = { overview: "No frames yet", power: "No BENCHLAB board", thermal: "No temperatures", host: "No host readings", device: "No BENCHLAB board", flow: "No flow", pairing: "No frames yet" };
  for (const [view, title] of Object.entries(titles)) {
    await tab.goto(`${srv.url}/#/${view}`);
    await tab.waitForFunction((t) => document.querySelector(".empty h2")?.textContent?.startsWith(t), title);
  }
  await context.close();
});

test("an unknown session, a refusal and a dead server are explained", { timeout: 60_000 }, async () => {
  const unknown = await open();
  await unknown.tab.goto(`${srv.url}/#/overview?session=no-such-session`);
  await unknown.tab.waitForFunction(() => document.querySelector(".empty")?.textContent?.includes("no-such-session"));
  await unknown.context.close();
  const refused = await open((t) => t.route("**/api/**", (r) => r.fulfill({ status: 401, contentType: "application/problem+json", json: { title: "Unauthorized", status: 401, detail: "token needed" } })));
  await says(refused.tab, "Token needed");
  await refused.tab.waitForFunction(() => document.querySelector(".notice")?.textContent?.includes("token"));
  await refused.context.close();
  const dead = await open((t) => t.route("**/api/**", (r) => r.abort()));
  await dead.tab.waitForFunction(() => document.querySelector(".empty .command code")?.textContent === "bl serve");
  await dead.context.close();
});
