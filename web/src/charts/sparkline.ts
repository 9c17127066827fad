/**
 * Draws a small line (or bars) without axes on a canvas; NaN is a gap. The picture stands for at least a twelfth of
 * the value, so that a flat line with noise does not look like a mountain range.
 */
export function sparkline(canvas: HTMLCanvasElement, values: ArrayLike<number>, color: string, bars = false): void {
  const ratio = devicePixelRatio;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (width === 0 || height === 0) return;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const ctx = canvas.getContext("2d");
  if (!ctx) return;
  ctx.clearRect(0, 0, width, height);
  let low = bars ? 0 : Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  if (!(low <= high)) return;
  const least = bars ? 1 : Math.abs(high) * 0.08 || 1; // the least height that the picture stands for
  if (high - low < least) {
    const middle = (low + high) / 2;
    [low, high] = bars ? [0, least] : [middle - least / 2, middle + least / 2];
  }
  const pad = 1.5 * ratio;
  const y = (v: number): number => height - pad - ((v - low) / (high - low)) * (height - 2 * pad);
  const step = width / values.length;
  ctx.strokeStyle = ctx.fillStyle = color;
  if (bars) {
    for (let i = 0; i < values.length; i++) if (values[i] > 0) ctx.fillRect(i * step, y(values[i]), Math.max(1, step - ratio), height - y(values[i]));
    return;
  }
  ctx.lineWidth = 1.25 * ratio;
  ctx.lineJoin = "round";
  ctx.beginPath();
  let pen = false;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v !== v) pen = false;
    else if (pen) ctx.lineTo((i + 0.5) * step, y(v));
    else {
      ctx.moveTo((i + 0.5) * step, y(v));
      pen = true;
    }
  }
  ctx.stroke();
}
