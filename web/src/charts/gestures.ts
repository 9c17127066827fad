import type { Scope } from "../data/scope.ts";

/**
 * Zoom and pan over a chart: Ctrl and the wheel (or a pinch on a pad) zooms, Shift and the wheel or a sideways one pans, Shift and a drag
 * pans, a double click lets go; on a touch screen one finger pans and two zoom. A plain wheel scrolls the page, as ever. A plain drag
 * selects a stretch, which uPlot does. Returns how to end it.
 */
export function follow(over: HTMLElement, scope: Scope): () => void {
  const fraction = (clientX: number): number => {
    const box = over.getBoundingClientRect();
    return box.width ? (clientX - box.left) / box.width : 0;
  };
  const timeAt = (clientX: number): number => {
    const { from, to } = scope.range();
    return from + fraction(clientX) * (to - from);
  };

  const wheel = (e: WheelEvent): void => {
    const sideways = e.shiftKey ? e.deltaX || e.deltaY : e.deltaX;
    if (e.ctrlKey || e.metaKey) scope.zoom(Math.exp(e.deltaY * 0.002), timeAt(e.clientX));
    else if (Math.abs(sideways) > Math.abs(e.shiftKey ? 0 : e.deltaY)) scope.pan(sideways / over.clientWidth);
    else return;
    e.preventDefault();
  };

  const fingers = new Map<number, number>();
  const down = (e: PointerEvent): void => {
    if (e.pointerType === "mouse" && !e.shiftKey) return;
    fingers.set(e.pointerId, e.clientX);
    over.setPointerCapture(e.pointerId);
  };
  const move = (e: PointerEvent): void => {
    const before = fingers.get(e.pointerId);
    if (before === undefined || e.clientX === before) return;
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== e.pointerId)![1];
      const spread = Math.abs(e.clientX - other);
      if (spread > 20 && Math.abs(before - other) > 20) scope.zoom(Math.abs(before - other) / spread, timeAt((e.clientX + other) / 2));
    } else {
      scope.pan((before - e.clientX) / over.clientWidth);
    }
    fingers.set(e.pointerId, e.clientX);
  };
  const up = (e: PointerEvent): void => void fingers.delete(e.pointerId);
  // uPlot starts its own selection at a mouse press; with Shift the press is a pan.
  const press = (e: MouseEvent): void => {
    if (e.shiftKey) e.stopImmediatePropagation();
  };
  const release = (): void => scope.release();

  over.addEventListener("wheel", wheel, { passive: false });
  over.addEventListener("pointerdown", down);
  over.addEventListener("pointermove", move);
  over.addEventListener("pointerup", up);
  over.addEventListener("pointercancel", up);
  over.addEventListener("mousedown", press, true);
  over.addEventListener("dblclick", release);
  return () => {
    over.removeEventListener("wheel", wheel);
    over.removeEventListener("pointerdown", down);
    over.removeEventListener("pointermove", move);
    over.removeEventListener("pointerup", up);
    over.removeEventListener("pointercancel", up);
    over.removeEventListener("mousedown", press, true);
    over.removeEventListener("dblclick", release);
  };
}
