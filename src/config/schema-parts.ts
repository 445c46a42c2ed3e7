/** Kinds of values that several sections of the configuration share. */

import { z } from 'zod';

/** Whole milliseconds in [min, max], with a default and what they are for. */
export function ms(min: number, max: number, fallback: number, about: string) {
  return z.number().int().min(min).max(max).default(fallback).describe(about);
}

/** A whole number in [min, max], with a default and what it counts. */
export function count(min: number, max: number, fallback: number, about: string) {
  return z.number().int().min(min).max(max).default(fallback).describe(about);
}

/** Names of classes, channels, sinks and clients: safe in topics, tags, file names and URLs. */
export const identifier = z
  .string()
  .regex(/^[A-Za-z0-9_.:-]{1,64}$/, 'letters, digits, _ . : - (at most 64)');
/** Names of several machines at once. */
export const glob = z
  .string()
  .regex(/^[A-Za-z0-9_.:*?-]{1,64}$/, 'an id in which * and ? stand for any characters');
