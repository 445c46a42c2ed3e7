/**
 * Orders of the command line in, carried out by the running gateway, receipts back: files in a folder of the data
 * directory, because only the gateway writes its database and nothing on the network may change what it holds.
 *
 * A file appears under its name when it is whole. An order is deleted after it was carried out; a crash in between
 * carries it out again, which finds nothing left to do.
 */

import {
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Point } from '../domain/point.ts';
import { describeError, GatewayError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DeadLetterOrder, LetterRef, OrderReceipt } from './dead-letter-orders.ts';
import { makeDirectory } from './make-directory.ts';
import { decodePoints, encodePoints, Packing } from './points-codec.ts';

const FOLDER = 'orders';
const ORDER = '.order';
const RECEIPT = '.receipt';
/** Many times what the command line writes. */
const MAX_ORDER_BYTES = 16_777_216;
/** A receipt that nobody fetched is swept after this. */
const RECEIPT_KEPT_MS = 3_600_000;

/** The gateway's end of the folder. */
export class OrderBox {
  readonly #folder: string;
  readonly #logger: Logger;

  constructor(dataDir: string, logger: Logger) {
    this.#folder = join(dataDir, FOLDER);
    this.#logger = logger;
  }

  /**
   * Carries out the oldest order, if there is one.
   *
   * @returns true if there was one
   * @throws what `settle` throws: the order stays for a later call
   */
  serve(settle: (order: DeadLetterOrder) => OrderReceipt): boolean {
    const name = this.#oldest();
    if (name === null) return false;
    const order = this.#read(name);
    const receipt = typeof order === 'string' ? { error: order } : settle(order);
    this.#logger.info({ order: name, ...receipt }, 'order about dead letters carried out');
    try {
      writeWhole(join(this.#folder, name.replace(ORDER, RECEIPT)), JSON.stringify(receipt), false);
    } catch (error) {
      this.#logger.warn({ order: name, reason: describeError(error) }, 'no room for the receipt of an order');
    }
    rmSync(join(this.#folder, name), { force: true });
    this.#sweep();
    return true;
  }

  #oldest(): string | null {
    const names = listed(this.#folder).filter((name) => name.endsWith(ORDER));
    return names.sort()[0] ?? null;
  }

  #read(name: string): DeadLetterOrder | string {
    const path = join(this.#folder, name);
    try {
      if (statSync(path).size > MAX_ORDER_BYTES) return `larger than ${MAX_ORDER_BYTES} bytes`;
      return decodeOrder(readFileSync(path, 'utf8'));
    } catch (error) {
      return describeError(error);
    }
  }

  #sweep(): void {
    for (const name of listed(this.#folder)) {
      const path = join(this.#folder, name);
      const ageMs = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity);
      if (!name.endsWith(ORDER) && ageMs > RECEIPT_KEPT_MS) rmSync(path, { force: true });
    }
  }
}

/** The command line's end: an order that waits for the gateway. */
export class PlacedOrder {
  readonly #order: string;
  readonly #receipt: string;

  /** @throws GatewayError MW_STORE_OPEN where the data directory can't be written */
  constructor(dataDir: string, order: DeadLetterOrder, name: string) {
    const folder = join(dataDir, FOLDER);
    this.#order = join(folder, `${name}${ORDER}`);
    this.#receipt = join(folder, `${name}${RECEIPT}`);
    try {
      makeDirectory(folder, 0o700);
      belongTo(dataDir, folder);
      writeWhole(this.#order, encodeOrder(order), true);
      belongTo(dataDir, this.#order);
    } catch (cause) {
      throw new GatewayError(
        'MW_STORE_OPEN',
        `cannot leave an order for the gateway: ${describeError(cause)}`,
        { cause, hint: 'run this as the user of the gateway, or as root' },
      );
    }
  }

  /** What the gateway did, or null while it has not. Fetching it removes it. @throws GatewayError MW_INTERNAL */
  receipt(): OrderReceipt | null {
    let text: string;
    try {
      text = readFileSync(this.#receipt, 'utf8');
    } catch {
      return null;
    }
    rmSync(this.#receipt, { force: true });
    const receipt = JSON.parse(text) as OrderReceipt | { readonly error: string };
    if (!('error' in receipt)) return receipt;
    throw new GatewayError('MW_INTERNAL', `the gateway could not read the order: ${receipt.error}`);
  }

  /** Takes the order back. @returns false where the gateway has taken it already */
  withdraw(): boolean {
    try {
      rmSync(this.#order);
      return true;
    } catch {
      return false;
    }
  }
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What root writes must be readable by the user the gateway runs as. */
function belongTo(dataDir: string, path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dataDir);
  chownSync(path, uid, gid);
}

function writeWhole(path: string, text: string, flush: boolean): void {
  const partial = `${path}.partial`;
  const file = openSync(partial, 'w', 0o600);
  try {
    writeFileSync(file, text);
    if (flush) fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
}

/** Points in the words of the outbox, which keep every bit of a number. */
function encodeOrder({ remove, requeue }: DeadLetterOrder): string {
  return JSON.stringify({
    remove,
    requeue: requeue.map(({ letter, points }) => ({
      letter,
      points: points === null ? null : encodePoints(points, Infinity).body.toString('utf8'),
    })),
  });
}

/** @throws Error on anything `encodeOrder` did not write */
function decodeOrder(text: string): DeadLetterOrder {
  const { remove, requeue } = JSON.parse(text) as {
    readonly remove: readonly LetterRef[];
    readonly requeue: readonly { readonly letter: LetterRef; readonly points: string | null }[];
  };
  return {
    remove: remove.map(checkedRef),
    requeue: requeue.map(({ letter, points }) => ({
      letter: checkedRef(letter),
      points:
        points === null
          ? null
          : decodePoints(Buffer.from(points), Packing.plain, 'aggregate').map(checkedPoint),
    })),
  };
}

function checkedRef({ id, check }: LetterRef): LetterRef {
  if (!Number.isInteger(id) || !Number.isInteger(check)) throw new Error('a letter without id and check');
  return { id, check };
}

/** A point that can't be encoded would stop its sink for good. */
function checkedPoint(point: Point): Point {
  const isValue = (value: unknown) =>
    typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
  const isSound =
    typeof point.measurement === 'string' &&
    Number.isFinite(point.timeMs) &&
    Object.values(point.tags).every((tag) => typeof tag === 'string') &&
    Object.values(point.fields).every(isValue);
  if (!isSound) throw new Error('a point that is none');
  return point;
}
