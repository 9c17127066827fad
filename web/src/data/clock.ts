/**
 * The server's clock as the page sees it. Every stamp `now` of the server arrives late, so the greatest difference to the
 * page's own monotonic clock is the nearest to the truth; it fades slowly, so that drift of either clock is followed.
 */
export class ServerClock {
  private offset = NaN;

  /** Takes a stamp of the server (ms since 1970), which just arrived. */
  hear(now: number, at = performance.now()): void {
    const offset = now - at;
    if (!(Math.abs(offset - this.offset) < 10_000)) this.offset = offset;
    else this.offset = Math.max(offset, this.offset - 0.5);
  }

  /** The server's time, NaN before the first stamp. */
  now(at = performance.now()): number {
    return at + this.offset;
  }
}
