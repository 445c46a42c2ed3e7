/** Gateways that break their promise in one place: the simulation has to find out about each of them. */

import { GatewayError } from '../../../src/errors.ts';
import type { PointWriter, WriteOutcome } from '../../../src/forward/write-outcome.ts';
import type { PipelineAssembly } from '../../../src/runtime/pipeline-assembly.ts';

export interface Mutant {
  readonly name: string;
  /** PUBACK when the message is in the ring. */
  readonly acknowledgesEarly?: boolean;
  readonly assembly?: (assembly: PipelineAssembly) => void;
  /** Changes the store's connection. */
  readonly pragma?: string;
  readonly writer?: (writer: PointWriter) => PointWriter;
}

function answering(change: (outcome: WriteOutcome, lines: readonly string[]) => WriteOutcome) {
  return (writer: PointWriter): PointWriter => ({
    ...writer,
    write: async (lines, signal) => change(await writer.write(lines, signal), lines),
  });
}

export const MUTANTS: readonly Mutant[] = [
  { name: 'acknowledges before the commit', acknowledgesEarly: true },
  {
    name: 'acknowledges what the disk refused',
    assembly: ({ store }) => {
      const commit = store.commit.bind(store);
      store.commit = (unit) => {
        try {
          commit(unit);
        } catch (error) {
          if (!(error instanceof GatewayError && error.code === 'MW_STORE_WRITE')) throw error;
        }
      };
    },
  },
  { name: 'commits without a flush', pragma: 'synchronous = NORMAL' },
  {
    name: 'settles before the 204',
    writer: (writer) => ({
      ...writer,
      write: async (lines, signal) => {
        void writer.write(lines, signal);
        return { kind: 'accepted' };
      },
    }),
  },
  {
    name: 'takes any 2xx for stored',
    writer: answering((outcome) =>
      outcome.kind === 'retryLater' && outcome.message.startsWith('HTTP 2') ? { kind: 'accepted' } : outcome,
    ),
  },
  {
    name: 'drops the batch on 500',
    writer: answering((outcome, lines) =>
      outcome.kind === 'retryLater' && outcome.message.startsWith('HTTP 500')
        ? { kind: 'rejected', message: outcome.message, droppedLines: lines.length, aboutLines: true }
        : outcome,
    ),
  },
  {
    name: 'gives up a batch after a timeout',
    writer: answering((outcome) =>
      outcome.kind === 'retryLater' && outcome.cause === 'timeout' ? { kind: 'accepted' } : outcome,
    ),
  },
  {
    name: 'never tries again after a 401',
    writer: (writer) => {
      let held: WriteOutcome | null = null;
      return {
        ...writer,
        write: async (lines, signal) => {
          if (held !== null) return held;
          const outcome = await writer.write(lines, signal);
          if (outcome.kind === 'held') held = outcome;
          return outcome;
        },
      };
    },
  },
  {
    name: 'stamps lines anew when it sends them again',
    writer: (writer) => {
      let requests = 0;
      return {
        ...writer,
        write: (lines, signal) => {
          requests += 1;
          return writer.write(
            lines.map((line) => line.replace(' ', ` request=${requests},`)),
            signal,
          );
        },
      };
    },
  },
  {
    name: 'trims the journal too early',
    assembly: ({ windower }) => {
      windower.oldestBatchNeeded = () => Number.POSITIVE_INFINITY;
    },
  },
  {
    name: 'forgets which windows are closed',
    assembly: ({ store }) => {
      const commit = store.commit.bind(store);
      store.commit = (unit) =>
        commit({ ...unit, results: unit.results.map((result) => ({ ...result, closedUntilMs: 0 })) });
    },
  },
  {
    name: 'commits results without the points of the first window',
    assembly: ({ store }) => {
      const commit = store.commit.bind(store);
      store.commit = (unit) =>
        commit(
          unit.results.length < 2
            ? unit
            : { ...unit, results: unit.results.map((r, i) => (i === 0 ? { ...r, points: [] } : r)) },
        );
    },
  },
  {
    name: 'journals only half of a large batch',
    assembly: ({ store }) => {
      const commit = store.commit.bind(store);
      store.commit = (unit) =>
        commit(
          unit.journal === null || unit.journal.length < 64
            ? unit
            : { ...unit, journal: unit.journal.subarray(0, unit.journal.length - 32) },
        );
    },
  },
  {
    name: 'counts late samples as windowed',
    assembly: ({ store }) => {
      const commit = store.commit.bind(store);
      store.commit = (unit) => {
        const { windowed, late, ...rest } = unit.settled;
        commit({ ...unit, settled: { ...rest, windowed: windowed + late, late: 0 } });
      };
    },
  },
];
