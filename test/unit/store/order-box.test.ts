import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DeadLetterOrder, letterCheck } from '../../../src/store/dead-letter-orders.ts';
import { PlacedOrder } from '../../../src/store/order-box.ts';
import { NOON_MS, point, result, type StoreFolder, storeFolder, unit } from '../../support/store.ts';

let folder: StoreFolder;
beforeEach(() => {
  folder = storeFolder();
});
afterEach(() => folder.remove());

const NOTHING: DeadLetterOrder = { remove: [], requeue: [] };
const files = () => readdirSync(join(folder.path, 'orders'));

/** A running store with one letter from MQTT (1) and one point that the sink refused (2). */
function filled() {
  const store = folder.open();
  const mqtt = { reason: 'malformed_json', detail: 'x', source: 'a/b', receivedMs: NOON_MS } as const;
  store.commit(unit({ deadLetters: [{ ...mqtt, payload: Buffer.from('{') }] }));
  store.commit(unit({ results: [result([point(1)])] }));
  store.settleOutbox('influx', 1, { delivered: 0, deadLettered: [{ point: point(1), reason: '422' }] });
  store.commit(unit({ results: [result([point(2)])] }));
  const [one, two] = store.deadLetters().map((l) => ({ id: l.id, check: letterCheck(l) }));
  return { store, one: one!, two: two! };
}

describe('orders beside a running gateway', () => {
  it('are carried out in its idle step: letters removed, corrected points sent again, accounts balanced', () => {
    const { store, one, two } = filled();
    const corrected = { ...point(1), fields: { rms: -0 } };
    const order = { remove: [one], requeue: [{ letter: two, points: [corrected] }] };
    const placed = new PlacedOrder(folder.path, order, '1');
    expect(placed.receipt()).toBeNull();
    while (store.idleStep());
    expect(placed.receipt()).toEqual({ removed: 1, requeued: 1, left: 0 });
    expect(store.deadLetters()).toEqual([]);
    const again = store.readOutbox('influx', 10, 'live')[0]!.points;
    expect(again).toEqual([corrected]);
    expect(Object.is(again[0]!.fields['rms'], -0)).toBe(true);
    expect(store.checkLedger(0).balanced).toBe(true);
    expect(files()).toEqual([]);
    store.close();
  });

  it('survive a crash before the receipt: the second time there is nothing to do', () => {
    const { store, two } = filled();
    const order = { remove: [], requeue: [{ letter: two, points: null }] };
    store.settleDeadLetters(order);
    const placed = new PlacedOrder(folder.path, order, '1');
    while (store.idleStep());
    expect(placed.receipt()).toEqual({ removed: 0, requeued: 0, left: 1 });
    expect(store.ledger().points[0]).toMatchObject({ produced: 3, deadLettered: 1, pending: 2 });
    store.close();
  });

  it('do not touch a letter that only has the same id', () => {
    const { store, one } = filled();
    const placed = new PlacedOrder(folder.path, { ...NOTHING, remove: [{ ...one, check: 1 }] }, '1');
    while (store.idleStep());
    expect(placed.receipt()).toEqual({ removed: 0, requeued: 0, left: 1 });
    expect(store.deadLetters().length).toBe(2);
    store.close();
  });

  it('are carried out in the order they were placed, and can be taken back before', () => {
    const { store, one } = filled();
    const first = new PlacedOrder(folder.path, { ...NOTHING, remove: [one] }, '1');
    const second = new PlacedOrder(folder.path, { ...NOTHING, remove: [one] }, '2');
    const third = new PlacedOrder(folder.path, NOTHING, '3');
    expect(third.withdraw()).toBe(true);
    expect(third.withdraw()).toBe(false);
    while (store.idleStep());
    expect(first.receipt()).toMatchObject({ removed: 1 });
    expect(second.receipt()).toMatchObject({ removed: 0, left: 1 });
    store.close();
  });

  it('that cannot be read are refused in the receipt and do no harm', () => {
    const { store, two } = filled();
    mkdirSync(join(folder.path, 'orders'));
    const texts = [
      '{',
      'null',
      '{"remove":[{"id":"1"}],"requeue":[]}',
      JSON.stringify({ remove: [], requeue: [{ letter: two, points: '[["m",{"a":5},1,{"v":1}]]' }] }),
      JSON.stringify({ remove: [], requeue: [{ letter: two, points: '[["m",{},null,{"v":1}]]' }] }),
    ];
    for (const [n, text] of texts.entries()) writeFileSync(join(folder.path, 'orders', `${n}.order`), text);
    while (store.idleStep());
    expect(files().sort()).toEqual(texts.map((_, n) => `${n}.receipt`));
    const placed = new PlacedOrder(folder.path, NOTHING, '0');
    expect(() => placed.receipt()).toThrow('the gateway could not read the order');
    expect(store.deadLetters().length).toBe(2);
    store.close();
  });
});
