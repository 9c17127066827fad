// Screenshots of every view, both themes, both sizes, into e2e/shots: to be looked at by a person.
import { mkdir } from "node:fs/promises";
import { SIZES, THEMES, browser, page, server } from "./browser.mjs";

const only = process.argv.slice(2);
const VIEWS = ["overview", "power", "thermal", "host", "device", "sessions", "flow", "architecture", "pairing", "past", "compare"];
const out = new URL("./shots/", import.meta.url).pathname;
await mkdir(out, { recursive: true });
const srv = await server();
const chrome = await browser();
const { sessions } = await (await fetch(`${srv.url}/api/sessions`)).json();
const ended = sessions.filter((s) => s.state !== "recording" && s.pairs.length && s.devices.length);
const hash = { past: `overview?session=${ended[0]?.id}`, compare: `compare?a=${ended[0]?.id}&b=${ended[1]?.id}` };
for (const [size, viewport] of Object.entries(SIZES)) {
  for (const theme of THEMES) {
    const context = await chrome.context({ viewport, colorScheme: theme, deviceScaleFactor: 1, hasTouch: size === "narrow" });
    const { tab, faults } = await page(context, srv.url);
    for (const view of VIEWS) {
      if (only.length && !only.includes(view) && !only.includes(`${view}-${size}-${theme}`)) continue;
      await tab.goto(`${srv.url}/#/${hash[view] ?? view}`);
      await tab.waitForTimeout(2200);
      await tab.screenshot({ path: `${out}${view}-${size}-${theme}.png`, fullPage: size === "narrow" });
    }
    if (faults.length) console.error(size, theme, faults);
    await context.close();
  }
}
await chrome.close();
await srv.close();
