import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

/** Relative luminance of #rrggbb, after WCAG 2.2. */
function luminance(color: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(color.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

const style = readFileSync("src/style/base.css", "utf8");
const block = (selector: string): Map<string, string> => {
  const body = style.slice(style.indexOf(selector)).split("}")[0];
  return new Map([...body.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((m) => [m[1], m[2]]));
};
const THEMES = { light: block(":root {"), dark: block(':root[data-theme="dark"]') };
const TEXT = ["ink", "muted", "accent", "latency", "power", "good", "warn", "bad"];

for (const [theme, colors] of Object.entries(THEMES)) {
  test(`text is readable in the ${theme} theme (AA, 4.5)`, () => {
    for (const text of TEXT) {
      for (const ground of ["ground", "panel", ...(["ink", "muted"].includes(text) ? ["raised"] : [])]) {
        const ratio = contrast(colors.get(text)!, colors.get(ground)!);
        assert.ok(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
      }
    }
    assert.ok(contrast(colors.get("on-accent")!, colors.get("accent")!) >= 4.5);
  });

  test(`lines are seen in the ${theme} theme (3)`, () => {
    for (const [name, color] of colors) {
      if (!/^(series-|cpu|gpu|mb|humidity)/.test(name)) continue;
      const ratio = contrast(color, colors.get("panel")!);
      assert.ok(ratio >= 3, `${name}: ${ratio.toFixed(2)}`);
    }
  });
}
