/** Waveform blocks of one channel that wait for their windows. A block belongs to the windows that hold its t0. */

import type { WaveformSegment, WaveformSlice } from '../domain/window.ts';
import { qualityOf } from './quality.ts';

interface Block {
  readonly t0Ms: number;
  readonly sampleRateHz: number;
  readonly values: Float32Array;
  readonly quality: number;
  readonly sequence: number;
  duplicate: boolean;
}

/** Expected samples per window: what the class declares, or a continuous stream. */
export interface WaveformExpectation {
  readonly samplesPerWindow?: number | undefined;
  readonly sampleRateHz?: number | undefined;
}

export class WaveformBuffer {
  #blocks: Block[] = [];
  #ordered = true;
  #samples = 0;

  /** Samples in the buffer, duplicates included. */
  get size(): number {
    return this.#samples;
  }

  get bytes(): number {
    return this.#samples * Float32Array.BYTES_PER_ELEMENT;
  }

  /** @param values copied, because the caller's memory is the ring's */
  add(t0Ms: number, sampleRateHz: number, values: Float32Array, quality: number, sequence: number): void {
    const last = this.#blocks[this.#blocks.length - 1];
    if (last !== undefined && t0Ms <= last.t0Ms) this.#ordered = false;
    this.#blocks.push({ t0Ms, sampleRateHz, values: values.slice(), quality, sequence, duplicate: false });
    this.#samples += values.length;
  }

  /** Blocks with startMs <= t0 < endMs joined to gapless segments, or null if there is none. */
  slice(
    channel: string,
    startMs: number,
    endMs: number,
    expected: WaveformExpectation,
  ): WaveformSlice | null {
    this.#order();
    const blocks = this.#blocks.filter((b) => b.t0Ms >= startMs && b.t0Ms < endMs && !b.duplicate);
    if (blocks.length === 0) return null;
    const received = blocks.reduce((sum, block) => sum + block.values.length, 0);
    const want =
      expected.samplesPerWindow ??
      ((endMs - startMs) / 1000) * (expected.sampleRateHz ?? blocks[0]!.sampleRateHz);
    const coverage = Math.min(1, received / want);
    const byQuality: [number, number, number] = [0, 0, 0];
    for (const block of blocks) byQuality[block.quality as 0 | 1 | 2] += block.values.length;
    return {
      kind: 'waveform',
      channel,
      segments: joined(blocks),
      coverage,
      quality: qualityOf(coverage, byQuality),
    };
  }

  /** Forgets blocks that start before `timeMs`. */
  drop(timeMs: number, settled: { samples: number; duplicates: number }): void {
    const kept: Block[] = [];
    this.#order();
    for (const block of this.#blocks) {
      if (block.t0Ms >= timeMs) kept.push(block);
      else {
        if (block.duplicate) settled.duplicates += block.values.length;
        else settled.samples += block.values.length;
        this.#samples -= block.values.length;
      }
    }
    this.#blocks = kept;
  }

  /** Samples of blocks that start before `timeMs`, duplicates included. */
  countBefore(timeMs: number): number {
    return this.#blocks.reduce((sum, { t0Ms, values }) => (t0Ms < timeMs ? sum + values.length : sum), 0);
  }

  #order(): void {
    if (this.#ordered) return;
    // Of twins the one of the best quality stays, whichever came first.
    this.#blocks.sort((a, b) => compareBlocks(a, b) || a.quality - b.quality);
    this.#blocks.forEach((block, i) => {
      block.duplicate = i > 0 && compareBlocks(this.#blocks[i - 1]!, block) === 0;
    });
    this.#ordered = true;
  }
}

/** Total order by (t0, sequence, rate, length, content): 0 only for exact twins. */
function compareBlocks(a: Block, b: Block): number {
  const head =
    a.t0Ms - b.t0Ms ||
    a.sequence - b.sequence ||
    a.sampleRateHz - b.sampleRateHz ||
    a.values.length - b.values.length;
  if (head !== 0) return head;
  // By bits, because NaN and -0 have no place in the order of numbers.
  const [aBits, bBits] = [bitsOf(a.values), bitsOf(b.values)];
  for (let i = 0; i < aBits.length; i += 1) {
    if (aBits[i] !== bBits[i]) return aBits[i]! - bBits[i]!;
  }
  return 0;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** Joins blocks where |t0_next - (t0 + n/fs)| is below half a sample and the rate is the same. */
function joined(blocks: readonly Block[]): WaveformSegment[] {
  const runs: Block[][] = [];
  for (const block of blocks) {
    const run = runs[runs.length - 1];
    if (run !== undefined && follows(run[0]!, run, block)) run.push(block);
    else runs.push([block]);
  }
  return runs.map((run) => {
    const [first] = run as [Block];
    if (run.length === 1) return { t0Ms: first.t0Ms, sampleRateHz: first.sampleRateHz, values: first.values };
    const values = new Float32Array(run.reduce((sum, block) => sum + block.values.length, 0));
    let at = 0;
    for (const block of run) {
      values.set(block.values, at);
      at += block.values.length;
    }
    return { t0Ms: first.t0Ms, sampleRateHz: first.sampleRateHz, values };
  });
}

function follows(first: Block, run: readonly Block[], next: Block): boolean {
  const last = run[run.length - 1]!;
  if (next.sampleRateHz !== first.sampleRateHz) return false;
  const samplePeriodMs = 1000 / last.sampleRateHz;
  const expectedMs = last.t0Ms + last.values.length * samplePeriodMs;
  return Math.abs(next.t0Ms - expectedMs) < samplePeriodMs / 2;
}
