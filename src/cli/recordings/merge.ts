/** Several recordings enter, one sequence of their messages in event-time order leaves. */

import type { RecordedMessage, Recording } from './recording.ts';

/** A recording placed in time: its offset 0 happens at `startMs`. */
export interface PlacedRecording {
  readonly recording: Recording;
  readonly startMs: number;
}

export interface TimedMessage {
  readonly machine: string;
  /** Event time, ms since the epoch. */
  readonly timeMs: number;
  readonly message: RecordedMessage;
}

interface Cursor {
  readonly order: number;
  readonly placed: PlacedRecording;
  readonly iterator: Iterator<RecordedMessage>;
  head: RecordedMessage;
  timeMs: number;
}

/**
 * Interleaves by event time; messages of the same instant come in the order the recordings were given.
 * Cost: O(log recordings) per message, one message of each recording in memory.
 */
export function* mergeByTime(recordings: readonly PlacedRecording[]): Generator<TimedMessage> {
  const heap: Cursor[] = [];
  recordings.forEach((placed, order) => {
    const iterator = placed.recording.messages()[Symbol.iterator]();
    const first = iterator.next();
    if (first.done) return;
    heap.push({ order, placed, iterator, head: first.value, timeMs: placed.startMs + first.value.offsetMs });
  });
  for (let i = (heap.length >> 1) - 1; i >= 0; i -= 1) siftDown(heap, i);
  while (heap.length > 0) {
    const top = heap[0]!;
    yield { machine: top.placed.recording.machine, timeMs: top.timeMs, message: top.head };
    const next = top.iterator.next();
    if (next.done) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      if (last !== top) heap[0] = last;
    } else {
      top.head = next.value;
      top.timeMs = top.placed.startMs + next.value.offsetMs;
    }
    siftDown(heap, 0);
  }
}

function before(a: Cursor, b: Cursor): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.order < b.order);
}

function siftDown(heap: Cursor[], from: number): void {
  let parent = from;
  for (;;) {
    let least = parent;
    for (const child of [2 * parent + 1, 2 * parent + 2]) {
      if (child < heap.length && before(heap[child]!, heap[least]!)) least = child;
    }
    if (least === parent) return;
    [heap[parent], heap[least]] = [heap[least]!, heap[parent]!];
    parent = least;
  }
}
