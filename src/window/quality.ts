/** Coverage and declared sample quality as one word of OPC UA. */

import { QUALITIES, type Quality } from '../domain/record.ts';
import type { ChannelSlice } from '../domain/window.ts';
import type { ClassSpec } from './class-spec.ts';

/** Thresholds of coverage: good from 0.9, uncertain from 0.5. */
const GOOD_FROM = 0.9;
const UNCERTAIN_FROM = 0.5;

/**
 * Quality of a slice: the smaller of its coverage and of the share of trustworthy samples, where an uncertain sample
 * counts half and a bad one nothing.
 * @param coverage received ÷ expected, 0..1
 * @param byQuality samples declared good, uncertain, bad
 */
export function qualityOf(coverage: number, byQuality: readonly [number, number, number]): Quality {
  const n = byQuality[0] + byQuality[1] + byQuality[2];
  const trusted = n === 0 ? 1 : (byQuality[0] + byQuality[1] / 2) / n;
  return gradeOf(Math.min(coverage, trusted));
}

/** The word for a share between 0 and 1. */
export function gradeOf(share: number): Quality {
  if (share >= GOOD_FROM) return 'good';
  return share >= UNCERTAIN_FROM ? 'uncertain' : 'bad';
}

/** The worse of two qualities. */
export function worse(a: Quality, b: Quality): Quality {
  return QUALITIES.indexOf(a) >= QUALITIES.indexOf(b) ? a : b;
}

/** Of a whole window: the minimum over its slices but those of optional channels; a required declared channel without data counts 0. */
export function qualityOfWindow(
  slices: readonly ChannelSlice[],
  spec: ClassSpec,
): { coverage: number; quality: Quality } {
  let coverage = 1;
  let quality: Quality = 'good';
  for (const slice of slices) {
    if (spec.channel(slice.channel)?.required === false) continue;
    coverage = Math.min(coverage, slice.coverage);
    quality = worse(quality, slice.quality);
  }
  const there = new Set(slices.map((slice) => slice.channel));
  if (spec.declared.some((name) => spec.channel(name)!.required && !there.has(name))) coverage = 0;
  return { coverage, quality: worse(quality, gradeOf(coverage)) };
}
