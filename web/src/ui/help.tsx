import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { usePage } from "./page.ts";

const KEYS: [string, string][] = [
  ["1 … 9", "The views, in the order of the list"],
  ["Space", "Pause, and go on"],
  ["[  ]", "Shorter and longer window"],
  ["+  −", "Zoom in and out"],
  ["←  →", "Pan"],
  ["0 or Esc", "Back to the whole, or to now"],
  ["D", "Download what is shown as CSV"],
  ["T", "Light or dark"],
  ["?", "This help"],
];

const POINTER: [string, string][] = [
  ["Drag", "Zoom into a stretch"],
  ["Shift and drag", "Pan"],
  ["Ctrl and wheel", "Zoom about the pointer"],
  ["Double click", "Back to the whole, or to now"],
  ["Two fingers", "Zoom; one finger pans"],
];

/** The keys and gestures, over the page. */
export function Help(): JSX.Element {
  const page = usePage();
  const ref = useRef<HTMLDialogElement>(null);
  const open = page.help.value;
  useEffect(() => {
    if (open) ref.current?.showModal();
    else ref.current?.close();
  }, [open]);
  const close = (): void => void (page.help.value = false);
  return (
    <dialog ref={ref} class="help" aria-label="Keys and gestures" onClose={close} onClick={(e) => e.target === ref.current && close()}>
      <div>
        <h2>Keys and gestures</h2>
        {[KEYS, POINTER].map((list, i) => (
          <dl key={i}>
            {list.map(([key, what]) => (
              <div key={key}>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        ))}
        <button type="button" class="primary" onClick={close}>
          Close
        </button>
      </div>
    </dialog>
  );
}
