import { effect, signal } from "@preact/signals";

export type Theme = "light" | "dark";

const KEY = "bl.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** The theme of the page; `public/theme.js` chose it before the first paint. */
export const theme = signal<Theme>(document.documentElement.dataset.theme === "dark" ? "dark" : "light");

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

system.addEventListener("change", () => {
  if (recall(KEY) === null) theme.value = system.matches ? "dark" : "light";
});

/** Changes to the other theme and remembers it. */
export function toggleTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  remember(KEY, theme.value);
}

/** Keeps a choice in the browser, where it lets us. */
export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is blocked: the choice lasts as long as the page.
  }
}

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
