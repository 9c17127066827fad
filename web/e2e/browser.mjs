// Starts what the browser tests need: Chromium, and the development stand-in unless BASE_URL names a server.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { start } from "../dev/server.mjs";

export const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } };
export const THEMES = ["light", "dark"];

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb"];

/** The server to test: BASE_URL, else a stand-in with the given options. */
export async function server(options = {}) {
  const url = process.env.BASE_URL?.replace(/\/$/, "");
  return url ? { url, close: async () => {} } : start(options);
}

/** A browser with a profile of its own. */
export async function browser() {
  const profile = await mkdtemp(join(tmpdir(), "bl-web-"));
  const context = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: [...FLAGS, `--crash-dumps-dir=${profile}`] });
  return {
    context: (options) => context.newContext(options),
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** A page that collects what goes wrong in it: console errors, uncaught errors, requests to other hosts. */
export async function page(context, url) {
  const tab = await context.newPage();
  const faults = [];
  tab.on("console", (m) => m.type() === "error" && faults.push(`console: ${m.text()}`));
  tab.on("pageerror", (e) => faults.push(`error: ${e.message}`));
  tab.on("request", (r) => r.url().startsWith(url) || r.url().startsWith("blob:") || faults.push(`request to elsewhere: ${r.url()}`));
  return { tab, faults };
}
