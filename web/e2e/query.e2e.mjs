// What the page shows is what `bl query` answers. Needs the store and the program: run by e2e/serve.sh.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { SIZES, browser, page, server } from "./browser.mjs";

const bl = process.env.BL;
const skip = bl && process.env.BASE_URL ? false : "BL and BASE_URL name no program and its server";
let srv;
let chrome;
before(async () => {
  if (skip) return;
  srv = await server();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await srv?.close();
});

/** The rows that `bl query` answers. */
async function query(session, sql) {
  const { stdout } = await promisify(execFile)(bl, ["query", "--session", session, "--format", "json", sql], { maxBuffer: 1 << 28 });
  return JSON.parse(stdout);
}

const FIGURES = `avg(latency_ms) AS mean, min(latency_ms) AS min, max(latency_ms) AS max, percentiles(latency_ms, 0.95)[1] AS p95,
  percentiles(latency_ms, 0.99)[1] AS p99, count(*) FILTER (WHERE dropped) AS dropped, avg(energy_j) AS j, corr(latency_ms, power_w) AS r`;

async function open(hash) {
  const context = await chrome.context({ viewport: SIZES.wide, acceptDownloads: true });
  const { tab, faults } = await page(context, srv.url);
  await tab.goto(`${srv.url}/${hash}`);
  const card = (name) => tab.locator(`[data-card=${name}] b`).innerText();
  const close = async () => {
    assert.deepEqual(faults, []);
    await context.close();
  };
  return { tab, card, close };
}

async function checkCards(tab, card, figures) {
  for (const name of ["mean", "min", "max", "p95", "p99"]) assert.equal(await card(name), figures[name].toFixed(2), name);
  assert.equal(await tab.locator("[data-card=corr]").innerText(), `r = ${figures.r.toFixed(3)}`);
  assert.match(await tab.locator("[data-card=dropped]").innerText(), new RegExp(`\\b${figures.dropped}\\b`));
}

test("a past session's figures are those of bl query", { timeout: 60_000, skip }, async () => {
  const [figures] = await query("before", `SELECT ${FIGURES} FROM latency`);
  const [power] = await query("before", "SELECT avg(sys_w) AS mean, max(sys_w) AS max FROM benchlab");
  const { tab, card, close } = await open("#/overview?session=before");
  await tab.waitForSelector("[data-card=p99] b");
  await checkCards(tab, card, figures);
  assert.equal(await card("power-mean"), power.mean.toFixed(1));
  await tab.goto(`${srv.url}/#/power?session=before`);
  await tab.waitForSelector("[data-card=peak] b");
  assert.equal(await card("peak"), power.max.toFixed(1));
  await close();
});

test("live pairs, their power and their energy are those of bl query", { timeout: 90_000, skip }, async () => {
  const { tab, card, close } = await open("");
  await tab.waitForFunction(() => document.querySelector(".status")?.textContent?.startsWith("Live"));
  await tab.getByRole("button", { name: "30 s", exact: true }).click();
  await tab.click(".pause");
  await tab.waitForTimeout(700); // past the last beat
  const [file] = await Promise.all([tab.waitForEvent("download"), tab.click("button[aria-label^=Download]")]);
  const lines = (await readFile(await file.path(), "utf8")).trim().split("\r\n").slice(1);
  const shown = lines.map((l) => l.replace(/"[^"]*"/, "pair").split(",")).map(([, t, , frame, lat_ms, power_w, energy_j, dropped]) => ({ t: Number(t), frame, lat_ms, power_w, energy_j, dropped: dropped === "true" }));
  const stored = new Map((await query("live", "SELECT frame, latency_ms AS lat_ms, power_w, energy_j, dropped FROM latency")).map((r) => [String(r.frame), r]));
  assert.ok(shown.length > 100, `${shown.length} pairs are shown`);
  for (const row of shown) {
    const other = stored.get(row.frame);
    assert.equal(other?.dropped, row.dropped, `frame ${row.frame}`);
    for (const column of row.dropped ? [] : ["lat_ms", "power_w", "energy_j"]) {
      // A pair is shown before the power sample after it is there: it has no energy yet, and never another one.
      if (row[column] === "") continue;
      const [a, b] = [Number(row[column]), other[column]];
      assert.ok(Math.abs(a - b) <= 1e-6 * Math.abs(b), `frame ${row.frame}: ${column} is ${a} on the page and ${b} in the store`);
    }
  }
  assert.ok(shown.filter((r) => r.energy_j !== "").length > 0.9 * shown.length - 20, "energies are shown");
  const frames = shown.filter((r) => !r.dropped).map((r) => Number(r.frame));
  const [figures] = await query("live", `SELECT ${FIGURES} FROM latency WHERE frame BETWEEN ${Math.min(...frames)} AND ${Math.max(...frames)}`);
  for (const name of ["mean", "min", "max", "p95", "p99"]) assert.equal(await card(name), figures[name].toFixed(2), name);
  await close();
});
