import { useEffect, useRef } from "preact/hooks";
import type { RefObject } from "preact";
import { theme } from "../ui/theme.ts";
import { onFrame } from "./frame.ts";

/** A chart that lives in an element: made, sized, painted each frame, and destroyed. */
export interface Drawing {
  resize(width: number, height: number): void;
  paint(now: number): void;
  destroy(): void;
}

/**
 * Puts a drawing into an element, and a new one in its place when `key` or the theme changes (colours are read once, when it
 * is made).
 */
export function useDrawing(key: string, make: (host: HTMLElement) => Drawing): RefObject<HTMLDivElement | null> {
  const ref = useRef<HTMLDivElement>(null);
  const themed = theme.value;
  useEffect(() => {
    const host = ref.current;
    if (!host) return;
    const drawing = make(host);
    const observer = new ResizeObserver(() => drawing.resize(host.clientWidth, host.clientHeight));
    observer.observe(host);
    const off = onFrame((now) => drawing.paint(now));
    return () => {
      off();
      observer.disconnect();
      drawing.destroy();
    };
  }, [key, themed]);
  return ref;
}
