import { useEffect } from "preact/hooks";
import { download } from "./download.ts";
import { WINDOWS, type Page } from "./page.ts";
import { VIEWS, go, route } from "./router.ts";
import { toggleTheme } from "./theme.ts";

/** Keys for everything that the bars can do; they leave fields and buttons alone. */
export function useKeys(page: Page): void {
  useEffect(() => {
    const press = (e: KeyboardEvent): void => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || page.help.peek()) return;
      const target = e.target as HTMLElement;
      if (target.matches("input:not([type=checkbox]), select, textarea")) return;
      if (e.key === " " && target.matches("button, a, input, summary")) return;
      if (act(page, e.key)) e.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [page]);
}

function act(page: Page, key: string): boolean {
  const scope = page.scope();
  const view = VIEWS[Number(key) - 1];
  if (view) return (go(view, { session: route.peek().session }), true);
  switch (key) {
    case " ":
      page.togglePause();
      return true;
    case "[":
    case "]":
      return stepWindow(page, key === "]" ? 1 : -1);
    case "+":
    case "=":
      scope.zoom(0.5);
      return true;
    case "-":
      scope.zoom(2);
      return true;
    case "ArrowLeft":
      scope.pan(-0.2);
      return true;
    case "ArrowRight":
      scope.pan(0.2);
      return true;
    case "0":
    case "Escape":
      scope.release();
      return true;
    case "t":
      toggleTheme();
      return true;
    case "d": {
      const make = page.table.peek();
      if (make) download(make());
      return make !== null;
    }
    case "?":
      page.help.value = true;
      return true;
    default:
      return false;
  }
}

function stepWindow(page: Page, step: number): boolean {
  const at = (WINDOWS as readonly number[]).indexOf(page.window_s.peek());
  const next = WINDOWS[at + step];
  if (next && !page.past.peek()) page.setWindow(next);
  return true;
}
