// Every view in both themes and two sizes: it shows what it should, fits the page, reports no error, and does not jump.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SIZES, THEMES, browser, page, server } from "./browser.mjs";

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

/** What must be seen in each view. */
const VIEWS = {
  overview: ["[data-card=current] b", "[data-card=p99] b", "[data-card=power-mean] b", "[data-card=corr]", "[data-card=dropped]", "[data-card=j-per-frame]", ".tall .u-wrap canvas"],
  power: ["[data-card=energy] b", "[data-card=peak] b", "[data-card=ms-per-w]", ".tall .u-wrap canvas", ".split li"],
  thermal: [".u-wrap canvas", ".cards .card b"],
  host: [".u-wrap canvas", ".cores li"],
  device: [".facts code", ".u-wrap canvas"],
  sessions: ["table.sessions tbody tr"],
  flow: ["main section, main .empty"],
  architecture: ["svg.diagram .box", "svg.diagram .edge"],
  pairing: ["[data-card=paired] b", ".lanes canvas", "table.events tbody tr"],
};

const EIGHT = ["current", "mean", "min", "max", "p95", "p99", "power", "power-mean"];

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const theme of THEMES) {
    test(`every view, ${size}, ${theme}`, { timeout: 120_000 }, async () => {
      const context = await chrome.context({ viewport, colorScheme: theme, hasTouch: size === "narrow" });
      const { tab, faults } = await page(context, srv.url);
      await tab.goto(srv.url);
      assert.equal(await tab.evaluate(() => document.documentElement.dataset.theme), theme);
      for (const [view, selectors] of Object.entries(VIEWS)) {
        await tab.locator(`.rail a[href^="#/${view}"]`).last().click();
        for (const selector of selectors) await tab.waitForSelector(selector, { state: "attached", timeout: 10_000 });
        assert.equal(await tab.locator(`.rail a[aria-current=page]`).count(), 1);
        const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${view} is ${overflow} px wider than the page`);
      }
      assert.deepEqual(faults, []);
      await context.close();
    });
  }
}

test("the eight cards have numbers, and nothing moves while they change", { timeout: 60_000 }, async () => {
  for (const [size, viewport] of Object.entries(SIZES)) {
    const context = await chrome.context({ viewport });
    const { tab, faults } = await page(context, srv.url);
    await tab.goto(srv.url);
    for (const card of EIGHT) {
      await tab.waitForFunction((c) => /^\d+(\.\d+)?$/.test(document.querySelector(`[data-card=${c}] b`)?.textContent ?? ""), card, { timeout: 10_000 });
    }
    const boxes = () => tab.evaluate(() => [...document.querySelectorAll(".card, .panel, .plot, .top, .rail")].map((e) => JSON.stringify(e.getBoundingClientRect())));
    const texts = () => tab.evaluate(() => [...document.querySelectorAll(".card b, .legend .val")].map((e) => e.textContent).join());
    const [first, text] = [await boxes(), await texts()];
    await tab.waitForFunction((t) => [...document.querySelectorAll(".card b, .legend .val")].map((e) => e.textContent).join() !== t, text, { timeout: 10_000 });
    for (let i = 0; i < 8; i++) {
      await tab.waitForTimeout(150);
      assert.deepEqual(await boxes(), first, `${size}: something moved`);
    }
    assert.deepEqual(faults, []);
    await context.close();
  }
});

test("the page is small, and everything comes from its own server", { timeout: 30_000 }, async () => {
  const context = await chrome.context({ viewport: SIZES.wide });
  const { tab, faults } = await page(context, srv.url);
  const { gzipSync } = await import("node:zlib");
  const bodies = [];
  tab.on("response", (r) => {
    if (!new URL(r.url()).pathname.startsWith("/api/")) bodies.push(r.body());
  });
  await tab.goto(srv.url);
  await tab.waitForSelector(".card b");
  const bytes = (await Promise.all(bodies)).reduce((sum, body) => sum + gzipSync(body).length, 0);
  assert.ok(bytes > 10_000 && bytes < 100_000, `${bytes} bytes gzipped`);
  assert.deepEqual(faults, []);
  await context.close();
});
