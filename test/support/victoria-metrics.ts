/** A real VictoriaMetrics for a test: own folder, own port, gone after `stop()`. */

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { endProcess, freePort, untilAnswers } from './influx.ts';

export interface VictoriaMetrics {
  readonly url: string;
  /** Raw samples of every series that the selector matches; flushes first, so that all that was accepted is seen. */
  export(selector: string): Promise<ExportedSeries[]>;
  stop(): Promise<void>;
}

export interface ExportedSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly number[];
  readonly timestamps: readonly number[];
}

/** Where the server is, or null: `MILLWRIGHT_VICTORIA_METRICS` or PATH. */
export function findVictoriaMetrics(): string | null {
  const named = process.env['MILLWRIGHT_VICTORIA_METRICS'];
  if (named) return existsSync(named) ? named : null;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of ['victoria-metrics', 'victoria-metrics-prod']) {
      if (folder !== '' && existsSync(join(folder, name))) return join(folder, name);
    }
  }
  return null;
}

/** One clear line for tests that skip. */
export const NO_VICTORIA_METRICS =
  'victoria-metrics not found (set MILLWRIGHT_VICTORIA_METRICS or put it on PATH): its tests are skipped';

/** @param flags further command line flags, such as `-httpAuth.username=…` */
export async function startVictoriaMetrics(flags: readonly string[] = []): Promise<VictoriaMetrics> {
  const binary = findVictoriaMetrics();
  if (binary === null) throw new Error(NO_VICTORIA_METRICS);
  const folder = mkdtempSync(join(tmpdir(), 'millwright-vm-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    binary,
    [
      `-storageDataPath=${folder}`,
      `-httpListenAddr=127.0.0.1:${port}`,
      '-retentionPeriod=100y',
      '-memory.allowedBytes=64MB',
      '-loggerLevel=ERROR',
      ...flags,
    ],
    { stdio: 'ignore' },
  );
  const stop = async () => {
    await endProcess(child);
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await untilAnswers(`${url}/health`, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, export: (selector) => exportSeries(url, selector), stop };
}

async function exportSeries(url: string, selector: string): Promise<ExportedSeries[]> {
  await (await fetch(`${url}/internal/force_flush`)).arrayBuffer();
  const query = new URLSearchParams({ 'match[]': selector, start: '0' });
  const answer = await fetch(`${url}/api/v1/export?${query}`);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`export: ${answer.status} ${text}`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ExportedSeries);
}
