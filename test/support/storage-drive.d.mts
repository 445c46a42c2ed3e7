import type { Config } from '../../src/config/schema.ts';
import type { Clock } from '../../src/domain/clock.ts';
import type { ChannelRef } from '../../src/domain/machine.ts';
import type { Point } from '../../src/domain/point.ts';
import type { buildPipeline, PipelineAssembly } from '../../src/runtime/pipeline-assembly.ts';
import type { RingReader, RingWriter } from '../../src/runtime/record-ring.ts';
import type { DriveMessage } from './storage-oracle.ts';

export interface DriveModules {
  readonly buildPipeline: typeof buildPipeline;
  readonly SYSTEM_CLOCK: Clock;
  createRing(bytes: number): SharedArrayBuffer;
  readonly RingWriter: typeof RingWriter;
  readonly RingReader: typeof RingReader;
}

export interface Drive {
  readonly assembly: PipelineAssembly;
  readonly writer: RingWriter;
  readonly reader: RingReader;
  readonly known: Set<number>;
}

export function startDrive(modules: DriveModules, config: Config): Drive;
export function commitMessages(
  drive: Drive,
  channels: readonly ChannelRef[],
  messages: readonly DriveMessage[],
): void;
export function computeClosed(drive: Drive): void;
export function deliver(
  drive: Drive,
  lane: 'live' | 'backlog',
  send: (points: readonly Point[]) => void,
): number;
export function finishDrive(drive: Drive, send: (points: readonly Point[]) => void): void;
