/** Counts enter, one line that rewrites itself on a terminal leaves; nothing where standard error is a file. */

const REDRAW_MS = 200;

export class Progress {
  readonly #total: number;
  readonly #startedAtMs = performance.now();
  #drawnAtMs = 0;
  #drawn = false;

  constructor(total: number) {
    this.#total = total;
  }

  update(done: number, extra: string): void {
    const now = performance.now();
    if (!process.stderr.isTTY || now - this.#drawnAtMs < REDRAW_MS) return;
    this.#drawnAtMs = now;
    this.#drawn = true;
    const perSecond = (done * 1000) / Math.max(1, now - this.#startedAtMs);
    const etaS = perSecond > 0 ? (this.#total - done) / perSecond : Number.NaN;
    const percent = this.#total > 0 ? Math.floor((100 * done) / this.#total) : 100;
    const line = `${String(percent).padStart(3)} %  ${done}/${this.#total}  ${perSecond.toFixed(0)} msg/s  ${extra}  ${formatEta(etaS)}`;
    process.stderr.write(`\r${line.slice(0, (process.stderr.columns ?? 80) - 1)}\x1b[K`);
  }

  clear(): void {
    if (this.#drawn) process.stderr.write('\r\x1b[K');
  }
}

/** `0:07 left`, `1:02:03 left`; empty while unknown. */
export function formatEta(seconds: number): string {
  if (!Number.isFinite(seconds)) return '';
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return `${shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')} left`;
}
