/** Orders about dead letters in, carried out by whoever holds the store: the running gateway, else this process. */

import { setTimeout as sleep } from 'node:timers/promises';
import { configSchema, type StoreConfig } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { DeadLetterOrder, OrderReceipt } from '../../store/dead-letter-orders.ts';
import { PlacedOrder } from '../../store/order-box.ts';
import { openStore, openStoreReadOnly } from '../../store/store.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { findConfigPath, readConfiguration } from '../configuration.ts';
import type { GlobalOptions } from '../global-options.ts';

/** The gateway looks for orders once a second; on a full disk or in trouble it may not. */
const RECEIPT_WITHIN_MS = 30_000;
const POLL_MS = 100;
/** Letters in one order: a transaction of a few milliseconds, which acknowledgements wait for. */
const LETTERS_PER_ORDER = 500;
/** Nobody's bound but the gateway's own, which a store opened without its configuration must not undercut. */
const WITHOUT_BOUNDS = { maxBytes: 1_099_511_627_776, maxDeadLetterBytes: 1_073_741_824, minFreeBytes: 0 };

export interface StoreAccess {
  readonly dataDir: string;
  readonly config: StoreConfig;
  /** Null takes those the store has accounts of. */
  readonly sinks: readonly string[] | null;
}

/** The store the options mean: by configuration where there is one, else --data-dir alone. @throws GatewayError */
export function storeAccess(options: GlobalOptions): StoreAccess {
  if (options.dataDir !== undefined && findConfigPath(options) === undefined) {
    const { store } = configSchema.parse({ machineClasses: {} });
    return { dataDir: options.dataDir, config: { ...store, ...WITHOUT_BOUNDS }, sinks: null };
  }
  const { dataDir, store, sinks } = readConfiguration(options);
  return { dataDir, config: store, sinks: Object.keys(sinks) };
}

/**
 * Carries the order out, in parts.
 *
 * @throws GatewayError MW_STORE_OPEN, MW_STORE_WRITE; the parts before are done
 */
export async function settle(access: StoreAccess, order: DeadLetterOrder): Promise<OrderReceipt> {
  const total = { removed: 0, requeued: 0, left: 0 };
  for (const part of partsOf(order)) {
    const { removed, requeued, left } = carryOutHere(access, part) ?? (await leaveForGateway(access, part));
    total.removed += removed;
    total.requeued += requeued;
    total.left += left;
  }
  return total;
}

function* partsOf({ remove, requeue }: DeadLetterOrder): Generator<DeadLetterOrder> {
  for (let at = 0; at < Math.max(remove.length, requeue.length); at += LETTERS_PER_ORDER) {
    yield {
      remove: remove.slice(at, at + LETTERS_PER_ORDER),
      requeue: requeue.slice(at, at + LETTERS_PER_ORDER),
    };
  }
}

/** Null where a gateway holds the store. */
function carryOutHere({ dataDir, config, sinks }: StoreAccess, order: DeadLetterOrder): OrderReceipt | null {
  try {
    const store = openStore({
      dataDir,
      config,
      sinks: sinks ?? knownSinks(dataDir),
      now: () => Date.now(),
      logger: createLogger('warn'),
    });
    try {
      return store.settleDeadLetters(order);
    } finally {
      store.close();
    }
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'MW_STORE_IN_USE') return null;
    throw error;
  }
}

/** Opening a store without naming a sink would give up that sink's backlog. */
function knownSinks(dataDir: string): string[] {
  const store = openStoreReadOnly(dataDir);
  try {
    return store.sinks();
  } finally {
    store.close();
  }
}

async function leaveForGateway({ dataDir }: StoreAccess, order: DeadLetterOrder): Promise<OrderReceipt> {
  const placed = new PlacedOrder(dataDir, order, `${Date.now()}-${process.pid}`);
  for (const deadline = performance.now() + RECEIPT_WITHIN_MS; ; await sleep(POLL_MS)) {
    const receipt = placed.receipt();
    if (receipt !== null) return receipt;
    if (performance.now() < deadline) continue;
    if (placed.withdraw())
      throw new GatewayError(
        'MW_STORE_WRITE',
        `the gateway did not carry out the order within ${RECEIPT_WITHIN_MS / 1000} s`,
        { hint: 'nothing was changed; see its log and its store status, or stop it and run this again' },
      );
  }
}
