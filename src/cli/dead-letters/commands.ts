/** `millwright outbox dead-letters`: what nobody could use enters; a person looks, corrects and sends it again. */

import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEAD_LETTER_REASONS, type DeadLetterReason, describeCut } from '../../domain/dead-letter.ts';
import { describeError, GatewayError } from '../../errors.ts';
import type { ReadOnlyStore } from '../../store/read-only-store.ts';
import type { GlobalOptions } from '../global-options.ts';
import { wholeNumber } from '../recording-options.ts';
import { note, openLineSink, printJson, printLine } from '../terminal/output.ts';
import { excerpt, printable } from '../terminal/safe-text.ts';
import { type BrokerOptions, brokerAccess } from './broker-access.ts';
import { entryOf, type LetterEntry, letterLine, parseLetters, refOf } from './letter-file.ts';
import { republish } from './republish.ts';
import { demandIds, selectLetters } from './selection.ts';
import { settle, storeAccess } from './settlement.ts';

interface SelectOptions extends GlobalOptions {
  readonly reason?: DeadLetterReason;
  readonly source?: string;
  readonly limit?: number;
}

interface ChangeOptions extends SelectOptions {
  readonly all?: boolean;
}

const HELP = `
Repair: export to a file, correct topic and payload (or the line of a point) in an editor, import it. A message goes out
over MQTT with QoS 1 and its letter is removed once it is acknowledged; a point goes back into the outbox. A line taken
out of the file leaves its letter alone. Of a payload longer than ingest.deadLetterPayloadBytes only the beginning was
kept: it is not sent, its letter stays. All of it works beside the running gateway.

Examples:
  millwright outbox dead-letters --reason malformed_json
  millwright outbox dead-letters export --file letters.jsonl
  millwright outbox dead-letters import letters.jsonl
  millwright outbox dead-letters republish --all --reason unknown_channel --config gateway.yaml`;

/** Adds the command with its verbs; without one it lists. */
export function configureDeadLetters(outbox: Command): void {
  const command = outbox
    .command('dead-letters')
    .description('messages and points nobody could use: look, correct, send again')
    .addHelpText('after', HELP);
  addSelection(command.command('list', { isDefault: true }), 20)
    .description('with the reason, oldest first')
    .action((_local: unknown, self: Command) => list(self.optsWithGlobals<SelectOptions>()));
  command
    .command('show')
    .description('whole letters, as they are exported')
    .argument('<ids...>', 'ids of dead letters', parseIds)
    .action((ids: number[], _local: unknown, self: Command) =>
      exportLetters(ids, undefined, self.optsWithGlobals<SelectOptions>()),
    );
  addSelection(command.command('export'))
    .description('one line of JSON for each letter, to edit and import')
    .option('--file <file>', 'write here (default: standard output)')
    .argument('[ids...]', 'ids of dead letters', parseIds)
    .action((ids: number[] | undefined, local: { file?: string }, self: Command) =>
      exportLetters(ids ?? [], local.file, self.optsWithGlobals<SelectOptions>()),
    );
  addBroker(command.command('import'))
    .description('send what an edited export holds: messages over MQTT, points through the outbox')
    .argument('<file>', 'lines of JSON as exported')
    .option('--dry-run', 'only check the file')
    .action((file: string, local: { dryRun?: boolean }, self: Command) =>
      importLetters(file, local.dryRun ?? false, self.optsWithGlobals<BrokerOptions>()),
    );
  addBroker(addSelection(command.command('republish')))
    .description('publish messages again as they are, say after a correction of the configuration')
    .argument('[ids...]', 'ids of dead letters', parseIds)
    .option('--all', 'all of them, or all that the filters select')
    .action((ids: number[] | undefined, _local: unknown, self: Command) =>
      republishLetters(ids ?? [], self.optsWithGlobals<ChangeOptions & BrokerOptions>()),
    );
  configureRequeue(command.command('requeue'));
  addSelection(command.command('discard'))
    .description('remove letters that nobody will repair')
    .argument('[ids...]', 'ids of dead letters', parseIds)
    .option('--all', 'all of them, or all that the filters select')
    .action((ids: number[] | undefined, _local: unknown, self: Command) =>
      discard(ids ?? [], self.optsWithGlobals<ChangeOptions>()),
    );
}

/** Also reachable as `outbox requeue`. */
export function configureRequeue(command: Command): void {
  addSelection(command)
    .description('put points that a sink refused back into the outbox')
    .argument('[ids...]', 'ids of dead letters', parseIds)
    .option('--all', 'all of them, or all that the filters select')
    .action((ids: number[] | undefined, _local: unknown, self: Command) =>
      requeue(ids ?? [], self.optsWithGlobals<ChangeOptions>()),
    );
}

function addSelection(command: Command, limit?: number): Command {
  return command
    .option('--limit <n>', 'at most this many', wholeNumber(1), limit)
    .addOption(new Option('--reason <reason>', 'only this reason').choices(DEAD_LETTER_REASONS))
    .option('--source <source>', 'only this MQTT topic, or sink:<name>');
}

function addBroker(command: Command): Command {
  return command
    .option('--url <url>', 'MQTT broker (default: that of the configuration, else mqtt://127.0.0.1:1883)')
    .option('--username <name>', 'MQTT user; the password comes from $MILLWRIGHT_MQTT_PASSWORD')
    .option('--give-up <seconds>', 'fail after this long without a broker', wholeNumber(1, 86_400), 30);
}

function parseIds(text: string, before: number[] | undefined): number[] {
  const id = Number(text);
  if (!Number.isInteger(id) || id < 1) throw new InvalidArgumentError('ids are whole numbers from 1');
  return [...(before ?? []), id];
}

async function withStore<T>(
  options: GlobalOptions,
  use: (store: ReadOnlyStore) => T | Promise<T>,
): Promise<T> {
  const { openStoreReadOnly } = await import('../../store/store.ts');
  const store = openStoreReadOnly(storeAccess(options).dataDir);
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

function list(options: SelectOptions): Promise<void> {
  return withStore(options, (store) => {
    const letters = [...selectLetters(store, options)];
    if (options.json) {
      printJson(
        letters.map(({ payload, ...letter }) => ({
          ...letter,
          payloadBase64: Buffer.from(payload).toString('base64'),
        })),
      );
      return;
    }
    if (letters.length === 0) note('no dead letters');
    for (const letter of letters) {
      const { id, receivedMs, reason, source, detail, payload } = letter;
      printLine(`${id}  ${new Date(receivedMs).toISOString()}  ${reason}  ${printable(source)}`);
      printLine(`    ${printable(detail)}`);
      printLine(`    ${describeCut(letter) ?? `${payload.length} bytes`}: ${excerpt(payload)}`);
    }
  });
}

function exportLetters(
  ids: readonly number[],
  file: string | undefined,
  options: SelectOptions,
): Promise<void> {
  return withStore(options, async (store) => {
    const sink = openLineSink(file);
    let letters = 0;
    try {
      for (const letter of selectLetters(store, { ...options, ids })) {
        await sink.write(letterLine(letter));
        letters += 1;
      }
      await sink.close();
    } catch (error) {
      sink.abort();
      throw error;
    }
    if (options.json && file !== undefined) printJson({ letters, file });
    else note(`${letters} dead letters${letters < ids.length ? `, ${ids.length - letters} not there` : ''}`);
  });
}

async function importLetters(file: string, isDryRun: boolean, options: BrokerOptions): Promise<void> {
  const entries = parseLetters(readFileOf(file));
  if (isDryRun) {
    if (options.json) printJson({ letters: entries.length });
    else note(`${entries.length} letters, no mistake found; nothing was sent`);
    return;
  }
  await sendAgain(entries, options);
}

async function republishLetters(
  ids: readonly number[],
  options: ChangeOptions & BrokerOptions,
): Promise<void> {
  demandIds(ids, options.all);
  const letters = await withStore(options, (store) =>
    [...selectLetters(store, { ...options, ids })]
      // A failed window is evidence, not a message.
      .filter(({ reason }) => reason !== 'window_failed' && reason !== 'rejected_by_sink'),
  );
  const cut = letters.filter((letter) => describeCut(letter) !== null);
  for (const letter of cut) note(`letter ${letter.id} stays: it holds only the ${describeCut(letter)}`);
  if (cut.length > 0) process.exitCode = 1;
  const whole = letters.filter((letter) => !cut.includes(letter));
  await sendAgain(whole.map(entryOf), options, { cut: cut.length });
}

/** Points first: that needs no broker. */
async function sendAgain(
  entries: readonly LetterEntry[],
  options: BrokerOptions,
  kept: { readonly cut?: number } = {},
): Promise<void> {
  const messages = entries.filter((entry) => 'topic' in entry);
  const points = entries.filter((entry) => 'points' in entry);
  const access = storeAccess(options);
  const broker = messages.length === 0 ? null : brokerAccess(options);
  const requeued = await settle(access, {
    remove: [],
    requeue: points.map(({ ref, points }) => ({ letter: ref, points })),
  });
  const sent = broker === null ? { acknowledged: 0, removed: 0 } : await republish(messages, broker, access);
  const left = requeued.left + sent.acknowledged - sent.removed;
  if (options.json) printJson({ republished: sent.acknowledged, requeued: requeued.requeued, left, ...kept });
  else
    note(
      `${sent.acknowledged} messages published and acknowledged, ${requeued.requeued} points go out again` +
        (left === 0 ? '' : `; ${left} letters were not there any more, or are others now`),
    );
}

async function requeue(ids: readonly number[], options: ChangeOptions): Promise<void> {
  demandIds(ids, options.all);
  const letters = await withStore(options, (store) => [...selectLetters(store, { ...options, ids })]);
  const refused = letters.filter(({ reason }) => reason === 'rejected_by_sink').map(refOf);
  const order = { remove: [], requeue: refused.map((letter) => ({ letter, points: null })) };
  const { requeued } = await settle(storeAccess(options), order);
  const left = Math.max(letters.length, ids.length) - requeued;
  if (options.json) printJson({ requeued, left });
  else note(`${requeued} points go out again; ${left} letters left (not from a sink, or not there)`);
}

async function discard(ids: readonly number[], options: ChangeOptions): Promise<void> {
  demandIds(ids, options.all);
  const letters = await withStore(options, (store) => [...selectLetters(store, { ...options, ids })]);
  const order = { remove: letters.map(refOf), requeue: [] };
  const { removed } = await settle(storeAccess(options), order);
  if (options.json) printJson({ removed });
  else note(`${removed} letters removed`);
}

function readFileOf(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new GatewayError('MW_USAGE', `cannot read ${path}: ${describeError(error)}`, { cause: error });
  }
}
