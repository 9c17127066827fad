// How smoothly the live chart draws: 15 minutes at 100 Hz (90,000 pairs, 90,000 samples of power) in view, rows coming in. Prints the
// frames that were late, and how long the page's own script worked in each. A benchmark, not a test: figures depend on the machine.
import { SIZES, browser, page } from "./browser.mjs";
import { start } from "../dev/server.mjs";

const SECONDS = 10;
const srv = process.env.BASE_URL ? { url: process.env.BASE_URL, close: async () => {} } : await start({ hz: 100, fps: 100, boards: 1 });
const chrome = await browser();
const context = await chrome.context({ viewport: SIZES.wide });
const { tab } = await page(context, srv.url);
for (const [seconds, label] of [[900, "15 min"], [30, "30 s"]]) {
  await tab.addInitScript((s) => localStorage.setItem("bl.window_s", String(s)), seconds);
  await tab.goto(srv.url);
  await tab.reload();
  await tab.waitForSelector("[data-card=mean] b");
  await tab.waitForTimeout(4000);
  const cdp = await context.newCDPSession(tab);
  await cdp.send("Performance.enable");
  const metrics = async () => Object.fromEntries((await cdp.send("Performance.getMetrics")).metrics.map((m) => [m.name, m.value]));
  const before = await metrics();
  const gaps = await tab.evaluate(
    (s) =>
      new Promise((done) => {
        const out = [];
        let last = performance.now();
        const end = last + 1000 * s;
        const next = (now) => {
          out.push(now - last);
          last = now;
          if (now < end) requestAnimationFrame(next);
          else done(out.slice(1));
        };
        requestAnimationFrame(next);
      }),
    SECONDS,
  );
  const after = await metrics();
  gaps.sort((a, b) => a - b);
  const of = (p) => gaps[Math.floor(p * (gaps.length - 1))].toFixed(1);
  const late = gaps.filter((g) => g > 25).length;
  const script = (1000 * (after.ScriptDuration - before.ScriptDuration)) / gaps.length;
  const task = (100 * (after.TaskDuration - before.TaskDuration)) / SECONDS;
  console.log(`${label}: ${(gaps.length / SECONDS).toFixed(1)} frames/s, p50 ${of(0.5)} ms, p99 ${of(0.99)} ms, longest ${of(1)} ms, ${late} of ${gaps.length} later than 25 ms; script ${script.toFixed(2)} ms a frame, main thread ${task.toFixed(0)} % busy, heap ${(after.JSHeapUsedSize / 1e6).toFixed(0)} MB`);
}
await chrome.close();
await srv.close();
