import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { css } from "../charts/colors.ts";
import { sparkline } from "../charts/sparkline.ts";
import { Icon } from "./icons.tsx";
import { theme } from "./theme.ts";

/** How good a value is; it shows in a colour and in a word. */
export type Tone = "good" | "warn" | "bad" | "plain";

/** Latency below 10 ms is good, up to 20 ms it is watched, above it is bad. */
export function latencyTone(ms: number): Tone {
  return !Number.isFinite(ms) ? "plain" : ms < 10 ? "good" : ms <= 20 ? "warn" : "bad";
}

const TONE_WORDS: Record<Tone, string> = { good: "below 10 ms", warn: "10 to 20 ms", bad: "above 20 ms", plain: "" };

interface CardProps {
  label: string;
  value: string;
  unit: string;
  tone?: Tone;
  hint?: string;
  trend?: ArrayLike<number>;
  color?: string;
  bars?: boolean;
  id?: string;
}

/** One figure: what it is, how much, and how it went. */
export function Card({ label, value, unit, tone = "plain", hint, trend, color = "--muted", bars, id }: CardProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const themed = theme.value;
  useEffect(() => {
    if (canvas.current && trend) sparkline(canvas.current, trend, css(tone === "plain" ? color : `--${tone}`), bars);
  }, [trend, themed, tone, color, bars]);
  return (
    <div class={`card ${tone}`} data-card={id} title={hint}>
      <span class="label">{label}</span>
      <span class="figure">
        <b>{value}</b> <span class="unit">{unit}</span>
      </span>
      {tone !== "plain" && <span class="sr">{TONE_WORDS[tone]}</span>}
      {trend && <canvas ref={canvas} class="spark" aria-hidden="true" />}
    </div>
  );
}

interface PanelProps {
  title: string;
  note?: string;
  class?: string;
  tools?: ComponentChildren;
  children: ComponentChildren;
}

export function Panel({ title, note, tools, children, ...more }: PanelProps): JSX.Element {
  return (
    <section class={`panel ${more.class ?? ""}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {note && <span class="note">{note}</span>}
        {tools}
      </header>
      {children}
    </section>
  );
}

interface ChoiceProps<T extends string | number> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

/** A few exclusive choices side by side. */
export function Choice<T extends string | number>({ label, value, options, onChange }: ChoiceProps<T>): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([option, text]) => (
        <button key={option} type="button" aria-pressed={option === value} onClick={() => onChange(option)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** What stands where there is nothing to show: what is missing, and what to do about it. */
export function Empty({ title, command, children }: { title: string; command?: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {command && <Command text={command} />}
    </div>
  );
}

/** A command to run, with a button that copies it. */
export function Command({ text }: { text: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    // Without permission or on plain http from another host there is no clipboard: the text can still be marked by hand.
    void navigator.clipboard?.writeText(text).then(
      () => {
        setCopied(true);
        setTimeout(() => setCopied(false), 1500);
      },
      () => undefined,
    );
  };
  return (
    <div class="command">
      <code>{text}</code>
      <button type="button" class="plain" aria-label={`Copy: ${text}`} onClick={copy}>
        <Icon name={copied ? "check" : "copy"} />
      </button>
    </div>
  );
}

/** A state in a word, with a dot in its colour. */
export function State({ tone, children }: { tone: Tone | "off"; children: ComponentChildren }): JSX.Element {
  return (
    <span class={`state ${tone}`}>
      <i class="dot" />
      {children}
    </span>
  );
}

/** Names and values, one a line. */
export function Facts({ rows }: { rows: [string, ComponentChildren][] }): JSX.Element {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
