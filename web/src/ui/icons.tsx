import type { JSX } from "preact";

/** Strokes of the icons, on a grid of 20. */
const PATHS = {
  overview: "M3 16V9m5 7V4m4 12v-6m5 6V7",
  power: "M11 2 5 11h5l-1 7 6-9h-5z",
  thermal: "M8 4a2 2 0 0 1 4 0v7a4 4 0 1 1-4 0zM10 8v6",
  host: "M4 4h12v8H4zM7 16h6M10 12v4",
  device: "M5 5h10v10H5zM8 2v3m4-3v3M8 15v3m4-3v3M2 8h3m-3 4h3m10-4h3m-3 4h3",
  sessions: "M4 5h12M4 10h12M4 15h8",
  flow: "M4 5h4v4H4zM12 11h4v4h-4zM8 7h3a1 1 0 0 1 1 1v3",
  architecture: "M3 4h5v4H3zM12 4h5v4h-5zM7.500 12.500h5v4h-5zM5.500 8v2h9V8M10 10v2.500",
  pairing: "M3 6h14M3 14h14M6 6l3 8m2-8 3 8",
  pause: "M7 4v12M13 4v12",
  play: "M6 4l10 6-10 6z",
  download: "M10 3v10m-4-4 4 4 4-4M4 17h12",
  sun: "M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zM10 1.500v2m0 13v2M1.500 10h2m13 0h2M4 4l1.400 1.400m9.200 9.200L16 16M4 16l1.400-1.400m9.200-9.200L16 4",
  moon: "M16 12.500A7 7 0 0 1 7.500 4a6.500 6.500 0 1 0 8.500 8.500z",
  help: "M7.500 7.500a2.500 2.500 0 1 1 3.500 2.300c-.700.300-1 .800-1 1.700M10 14.500v.500",
  copy: "M7 7h9v9H7zM4 13V4h9",
  check: "M4 10.500l4 4 8-9",
  cross: "M5 5l10 10M15 5 5 15",
  minus: "M4 10h12",
  back: "M12 4l-6 6 6 6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
