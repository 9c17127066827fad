// Every control: pause, window, zoom, pan, cursor, theme, download, keys, choices, sessions, comparison.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { SIZES, browser, page, server } from "./browser.mjs";

let srv;
let chrome;
let ended = [];
before(async () => {
  srv = await server();
  chrome = await browser();
  const { sessions } = await (await fetch(`${srv.url}/api/sessions`)).json();
  ended = sessions.filter((s) => s.state !== "recording" && s.pairs.length > 0 && s.devices.length > 0);
});
after(async () => {
  await chrome?.close();
  await srv?.close();
});

/** Runs `drive` in a page of its own, and then nothing may have gone wrong in it. */
async function inPage(drive, { size = "wide", hash = "", ...options } = {}) {
  const context = await chrome.context({ viewport: SIZES[size], colorScheme: "light", acceptDownloads: true, ...options });
  const { tab, faults } = await page(context, srv.url);
  await tab.goto(`${srv.url}/${hash}`);
  await tab.waitForSelector("main > *");
  await drive(tab, context);
  assert.deepEqual(faults, []);
  await context.close();
}

const state = (tab) => tab.locator(".status").innerText();
const isPaused = (tab) => tab.waitForFunction(() => document.querySelector(".status")?.textContent?.includes("Paused"));
const isLive = (tab) => tab.waitForFunction(() => document.querySelector(".status")?.textContent?.startsWith("Live"));

test("pause stands still, and goes on", { timeout: 60_000 }, () =>
  inPage(async (tab) => {
    await isLive(tab);
    await tab.click(".pause");
    await isPaused(tab);
    await tab.waitForTimeout(700); // past the last beat
    const mean = await tab.locator("[data-card=mean] b").innerText();
    await tab.waitForTimeout(1500);
    assert.equal(await tab.locator("[data-card=mean] b").innerText(), mean);
    await tab.click(".pause");
    await isLive(tab);
    await tab.locator("body").press("Space");
    await isPaused(tab);
    await tab.locator("body").press("Space");
    await isLive(tab);
  }),
);

test("the window is chosen, kept and loaded", { timeout: 90_000 }, () =>
  inPage(async (tab) => {
    await tab.waitForSelector("[data-card=mean] b");
    for (const label of ["30 s", "5 min", "15 min", "1 min"]) {
      await tab.getByRole("button", { name: label, exact: true }).click();
      await tab.waitForFunction((l) => document.querySelector(".top .choice [aria-pressed=true]")?.textContent === l, label);
    }
    await tab.locator("body").press("]");
    await tab.waitForFunction(() => document.querySelector(".top .choice [aria-pressed=true]")?.textContent === "5 min");
    await tab.reload();
    await tab.waitForFunction(() => document.querySelector(".top .choice [aria-pressed=true]")?.textContent === "5 min");
    await isLive(tab);
  }),
);

test("drag zooms, wheel and keys zoom and pan, double click lets go", { timeout: 60_000 }, () =>
  inPage(async (tab) => {
    const chart = tab.locator(".tall .u-over");
    await chart.waitFor();
    await isLive(tab);
    const box = await chart.boundingBox();
    const y = box.y + 60;
    const drag = async (from, to, modifier) => {
      if (modifier) await tab.keyboard.down(modifier);
      await tab.mouse.move(box.x + from * box.width, y);
      await tab.mouse.down();
      await tab.mouse.move(box.x + ((from + to) / 2) * box.width, y, { steps: 3 });
      await tab.mouse.move(box.x + to * box.width, y, { steps: 3 });
      await tab.mouse.up();
      if (modifier) await tab.keyboard.up(modifier);
    };
    const timeAt = async (fraction) => {
      await tab.mouse.move(box.x + fraction * box.width, y);
      await tab.waitForTimeout(400);
      return tab.locator(".tall .legend .at").innerText();
    };
    await drag(0.3, 0.6);
    await isPaused(tab);
    const left = await timeAt(0.02);
    await drag(0.5, 0.8, "Shift");
    assert.notEqual(await timeAt(0.02), left, "Shift and drag pans");
    await tab.locator("body").press("ArrowRight");
    const panned = await timeAt(0.02);
    await tab.keyboard.down("Control");
    await tab.mouse.wheel(0, 300);
    await tab.keyboard.up("Control");
    assert.notEqual(await timeAt(0.9), panned);
    await tab.locator("body").press("+");
    await tab.locator("body").press("-");
    await isPaused(tab);
    await chart.dblclick();
    await isLive(tab);
    await tab.locator("body").press("+");
    await isPaused(tab);
    await tab.locator("body").press("Escape");
    await isLive(tab);
  }),
);

test("cursors are linked", { timeout: 60_000 }, () =>
  inPage(
    async (tab) => {
      await tab.waitForSelector(".chart:nth-of-type(1) .u-over");
      await tab.waitForFunction(() => document.querySelectorAll(".u-over").length >= 3);
      const box = await tab.locator(".u-over").first().boundingBox();
      await tab.mouse.move(box.x + box.width / 2, box.y + 40);
      const times = () => tab.evaluate(() => [...document.querySelectorAll(".legend .at")].map((e) => e.textContent));
      await tab.waitForFunction(() => [...document.querySelectorAll(".legend .at")].every((e) => e.textContent !== ""));
      assert.equal(new Set(await times()).size, 1);
      const lines = await tab.evaluate(() => [...document.querySelectorAll(".u-cursor-x")].map((e) => e.classList.contains("u-off")));
      assert.ok(lines.every((off) => !off), "every chart shows the cursor");
    },
    { hash: "#/host" },
  ),
);

test("the theme follows the system, is toggled and remembered", { timeout: 60_000 }, () =>
  inPage(async (tab) => {
    const theme = () => tab.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(await theme(), "light");
    await tab.emulateMedia({ colorScheme: "dark" });
    await tab.waitForFunction(() => document.documentElement.dataset.theme === "dark");
    await tab.locator("button[aria-label^=Light]").click();
    assert.equal(await theme(), "light");
    await tab.reload();
    assert.equal(await theme(), "light", "the choice outlives the page, whatever the system says");
    await tab.locator("body").press("t");
    assert.equal(await theme(), "dark");
  }),
);

const COLUMNS = { overview: "time_utc,t_ms,pair,frame,lat_ms,power_w,energy_j,dropped", power: "time_utc,t_ms,sys_w", thermal: "time_utc,t_ms,table,key,column,value", host: "time_utc,t_ms,table,key,column,value", sessions: "id,node,state", architecture: "source,state", pairing: "pair,frame" };

test("what is shown is downloaded as CSV", { timeout: 90_000 }, () =>
  inPage(async (tab) => {
    for (const [view, header] of Object.entries(COLUMNS)) {
      await tab.goto(`${srv.url}/#/${view}`);
      await tab.waitForFunction(() => document.querySelector("button[aria-label^=Download]:not(:disabled)") && document.querySelectorAll("main .panel").length > 0);
      await tab.waitForTimeout(600);
      const [file] = await Promise.all([tab.waitForEvent("download"), tab.click("button[aria-label^=Download]")]);
      assert.match(file.suggestedFilename(), /^[\w.-]+\.csv$/);
      const text = await readFile(await file.path(), "utf8");
      assert.ok(text.startsWith(header), `${view}: ${text.slice(0, 120)}`);
      assert.ok(text.split("\r\n").length > 2, `${view} has rows`);
    }
  }),
);

test("every view has a key, and the help lists them", { timeout: 60_000 }, () =>
  inPage(async (tab) => {
    const names = ["Overview", "Power", "Thermal", "Host", "Device", "Sessions", "Flow", "Architecture", "Pairing"];
    for (const [i, name] of names.entries()) {
      await tab.locator("body").press(String(i + 1));
      await tab.waitForFunction((n) => document.querySelector("h1")?.textContent === n, name);
    }
    await tab.keyboard.press("?");
    await tab.waitForSelector("dialog.help[open]");
    await tab.keyboard.press("Escape");
    await tab.waitForFunction(() => !document.querySelector("dialog.help").open);
    await tab.click("button[aria-label^=Keys]");
    await tab.waitForSelector("dialog.help[open]");
    await tab.locator("dialog button", { hasText: "Close" }).click();
    await tab.waitForFunction(() => !document.querySelector("dialog.help").open);
  }),
);

test("everything is reached by Tab, with a ring", { timeout: 60_000 }, () =>
  inPage(async (tab) => {
    await tab.waitForSelector(".card b");
    await tab.keyboard.press("Tab");
    assert.equal(await tab.evaluate(() => document.activeElement.className), "skip");
    const seen = new Set();
    for (let i = 0; i < 30; i++) {
      await tab.keyboard.press("Tab");
      const it = await tab.evaluate(() => {
        const e = document.activeElement;
        return { name: e.getAttribute("aria-label") ?? e.textContent.trim(), ring: getComputedStyle(e).outlineStyle, tag: e.tagName };
      });
      if (it.tag !== "BODY" && it.tag !== "SELECT") assert.notEqual(it.ring, "none", `${it.name} has no focus ring`);
      seen.add(it.name);
    }
    for (const name of ["Power", "Pairing", "30 s", "15 min", "Pause"]) assert.ok(seen.has(name), `${name} is not reached: ${[...seen].join(" | ")}`);
  }),
);

test("rails are stacked, single and split, and can be left out", { timeout: 60_000 }, () =>
  inPage(
    async (tab) => {
      await tab.waitForSelector(".tall .legend li .name");
      const count = () => tab.locator(".tall .legend .name").count();
      await tab.locator(".tall .choice button", { hasText: "Stacked" }).click();
      const stacked = await count();
      await tab.locator(".tall .choice button", { hasText: "Single" }).click();
      await tab.waitForFunction((n) => document.querySelectorAll(".tall .legend .name").length === n + 1, stacked);
      await tab.locator(".tall .choice button", { hasText: "CPU" }).click();
      await tab.waitForFunction(() => document.querySelectorAll(".tall .legend .name").length === 3);
      await tab.locator(".tall .choice button", { hasText: "Stacked" }).click();
      await tab.locator("button.key").first().click();
      await tab.waitForFunction((n) => document.querySelectorAll(".tall .legend .name").length === n - 1, stacked);
    },
    { hash: "#/power" },
  ),
);

test("another pair and another board are chosen", { timeout: 60_000 }, () =>
  inPage(async (tab) => {
    await isLive(tab);
    for (const label of ["Pair of stages", "Board"]) {
      const select = tab.locator(`select[aria-label="${label}"]`);
      if ((await select.count()) === 0) continue; // the session has one only
      const values = await select.locator("option").evaluateAll((all) => all.map((o) => o.value));
      await select.selectOption(values[1]);
      await tab.waitForTimeout(600);
      assert.equal(await select.inputValue(), values[1]);
    }
    const note = await tab.locator(".tall .note").first().innerText();
    const chosen = await tab.locator('select[aria-label="Pair of stages"]').evaluateAll((all) => all[0]?.selectedOptions[0].textContent);
    if (chosen) assert.equal(note, chosen);
  }),
);

test("a past session shows the server's exact figures, and zooms", { timeout: 60_000 }, async (t) => {
  if (ended.length === 0) return t.skip("the server has no past session with pairs and a board");
  const { id, pairs } = ended[0];
  const summary = await (await fetch(`${srv.url}/api/sessions/${id}/summary?pair=${encodeURIComponent(pairs[0])}`)).json();
  await inPage(
    async (tab) => {
      await tab.waitForSelector("[data-card=p99] b");
      const shown = async (card) => tab.locator(`[data-card=${card}] b`).innerText();
      assert.equal(await shown("mean"), summary.latency.mean_ms.toFixed(2));
      assert.equal(await shown("min"), summary.latency.min_ms.toFixed(2));
      assert.equal(await shown("max"), summary.latency.max_ms.toFixed(2));
      assert.equal(await shown("p95"), summary.latency.p95_ms.toFixed(2));
      assert.equal(await shown("p99"), summary.latency.p99_ms.toFixed(2));
      assert.equal(await shown("power-mean"), summary.power.mean_w.toFixed(1));
      assert.equal(await tab.locator("[data-card=corr]").innerText(), `r = ${summary.efficiency.corr.toFixed(3)}`);
      for (const view of ["power", "thermal", "host", "device", "flow", "pairing", "overview"]) {
        await tab.locator(`.rail li a[href^="#/${view}"]`).click();
        await tab.waitForFunction((s) => document.querySelector(".status")?.textContent?.includes(s), id);
        await tab.waitForSelector("main > *");
      }
      const answer = tab.waitForResponse((r) => r.url().includes("/summary") && !r.url().includes(`from=${summary.from}&`));
      const box = await tab.locator(".tall .u-over").boundingBox();
      await tab.mouse.move(box.x + box.width * 0.4, box.y + 50);
      await tab.mouse.down();
      await tab.mouse.move(box.x + box.width * 0.6, box.y + 50, { steps: 4 });
      await tab.mouse.up();
      const part = await (await answer).json();
      assert.ok(part.latency.count < summary.latency.count);
      await tab.waitForFunction((p99) => document.querySelector("[data-card=p99] b")?.textContent === p99, part.latency.p99_ms.toFixed(2));
      await tab.locator("button", { hasText: "Whole session" }).click();
      await tab.waitForFunction((mean) => document.querySelector("[data-card=mean] b")?.textContent === mean, summary.latency.mean_ms.toFixed(2));
      await tab.locator(".status .back").click();
      await isLive(tab);
    },
    { hash: `#/overview?session=${id}` },
  );
});

test("two sessions are marked, compared and swapped", { timeout: 60_000 }, async (t) => {
  if (ended.length < 2) return t.skip("the server has fewer than two past sessions with pairs and a board");
  await inPage(
    async (tab) => {
      for (const s of ended.slice(0, 2)) await tab.locator(`input[aria-label="Compare ${s.id}"]`).check();
      await tab.locator("button.primary", { hasText: "Compare" }).click();
      await tab.waitForFunction(() => document.querySelectorAll(".sides .u-over").length === 6);
      const cells = () => tab.locator("table.numbers tbody tr").first().locator("td").allInnerTexts();
      await tab.waitForFunction(() => /\d/.test(document.querySelector("table.numbers tbody td")?.textContent ?? ""));
      const before = await cells();
      await tab.locator("a", { hasText: "Swap" }).click();
      await tab.waitForFunction((b) => document.querySelectorAll("table.numbers tbody td")[1]?.textContent === b, before[0]);
      assert.deepEqual((await cells()).slice(0, 2), before.slice(0, 2).reverse());
    },
    { hash: "#/sessions" },
  );
});

test("sessions are filtered", { timeout: 30_000 }, () =>
  inPage(
    async (tab) => {
      await tab.waitForSelector("table.sessions tbody tr");
      const first = await tab.locator("table.sessions tbody th a").first().innerText();
      await tab.fill("input[type=search]", first);
      await tab.waitForFunction(() => document.querySelectorAll("table.sessions tbody tr").length === 1);
      await tab.fill("input[type=search]", "nothing is called so");
      await tab.waitForFunction(() => document.querySelectorAll("table.sessions tbody tr").length === 0);
    },
    { hash: "#/sessions" },
  ),
);

test("one finger pans, two zoom", { timeout: 60_000 }, () =>
  inPage(
    async (tab, context) => {
      await isLive(tab);
      await tab.locator(".tall .u-over").scrollIntoViewIfNeeded();
      const box = await tab.locator(".tall .u-over").boundingBox();
      const cdp = await context.newCDPSession(tab);
      const touch = (type, ...xs) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints: xs.map((x, id) => ({ x: box.x + x * box.width, y: box.y + 40, id })) });
      await touch("touchStart", 0.5);
      for (const x of [0.55, 0.6, 0.7]) await touch("touchMove", x);
      await touch("touchEnd");
      await isPaused(tab);
      await touch("touchStart", 0.4, 0.6);
      for (const d of [0.15, 0.2, 0.3]) await touch("touchMove", 0.5 - d, 0.5 + d);
      await touch("touchEnd");
      assert.match(await state(tab), /Paused/);
    },
    { size: "narrow", hasTouch: true, isMobile: true },
  ),
);
