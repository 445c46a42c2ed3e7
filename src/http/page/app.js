/**
 * The page: asks the gateway once a second and shows what it says.
 *
 * Asking beats a held-open stream here: nothing to keep alive or to count on the gateway, a laptop that slept or a
 * gateway that restarted needs no special case, and an unchanged answer costs a header (304).
 */

import { makeCard, STATES, showAllFeatures, stateOf, updateCard } from './card.js';
import { el, keyed, setText } from './dom.js';
import { clockText, countText, spanText } from './format.js';
import { showHeader } from './header.js';

const ASK_EVERY_MS = 1_000;
/** A slow answer slows the questions: at most this share of the time is spent on them. */
const BUSY_SHARE = 0.1;
const ANSWER_WITHIN_MS = 5_000;
/** Without an answer for this long the page says so. */
const LOST_AFTER_MS = 3_500;
const FEATURES_PER_CARD = 6;

const byId = (id) => document.getElementById(id);

const view = {
  status: null,
  etag: '',
  /** Gateway clock minus our clock. */
  clockOffsetMs: 0,
  answeredAt: performance.now(),
  everAnswered: false,
  rate: null,
  previous: null,
  hiddenStates: new Set(),
  open: new Set(),
  knownStates: new Map(),
};

async function ask() {
  const started = performance.now();
  try {
    const headers = view.etag === '' ? {} : { 'if-none-match': view.etag };
    const response = await fetch(`/api/v1/status?features=${FEATURES_PER_CARD}`, {
      headers,
      cache: 'no-store',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (response.status !== 304 && !response.ok) throw new Error(`status ${response.status}`);
    take(response.status === 304 ? null : await response.json(), response.headers);
    await refreshOpenCards();
  } catch {
    // Shown by the clock below as time without an answer.
  }
  show();
  const took = performance.now() - started;
  setTimeout(ask, Math.max(ASK_EVERY_MS - took, took / BUSY_SHARE - took, 100));
}

function take(status, headers) {
  view.answeredAt = performance.now();
  view.everAnswered = true;
  const atMs = Number(headers.get('millwright-snapshot-ms'));
  if (atMs > 0) view.clockOffsetMs = atMs - Date.now();
  if (status === null) return;
  view.etag = headers.get('etag') ?? '';
  keepUnchanged(view.status, status);
  takeRate(status, atMs);
  announce(status);
  view.status = status;
}

/** The same object for a machine that says the same as before, so that its card is left alone. */
function keepUnchanged(before, status) {
  if (before === null) return;
  const known = new Map(before.machines.map((machine) => [machine.machine, machine]));
  status.machines = status.machines.map((machine) => {
    const old = known.get(machine.machine);
    return old !== undefined && JSON.stringify(old) === JSON.stringify(machine) ? old : machine;
  });
}

/** Acknowledgements per second between two different snapshots. */
function takeRate(status, atMs) {
  const count = status.ingest.acknowledgedMessages;
  const previous = view.previous;
  if (previous !== null && atMs > previous.atMs && count >= previous.count) {
    view.rate = ((count - previous.count) * 1000) / (atMs - previous.atMs);
  }
  if (previous === null || atMs !== previous.atMs) view.previous = { count, atMs };
}

/** One polite sentence per change of state: a screen reader follows the plant without hearing every number. */
function announce(status) {
  const changes = [];
  for (const machine of status.machines) {
    const before = view.knownStates.get(machine.machine);
    if (before !== undefined && before !== machine.state) {
      changes.push(`${machine.machine}: ${stateOf(machine).word}. ${machine.advice}`);
    }
    view.knownStates.set(machine.machine, machine.state);
  }
  if (changes.length > 0) setText(byId('announcer'), changes.join(' '));
}

async function refreshOpenCards() {
  for (const name of view.open) {
    const card = byId('cards').keyedChildren?.get(name);
    if (card === undefined) continue;
    const response = await fetch(`/api/v1/machines/${encodeURIComponent(name)}`, {
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (response.ok) showAllFeatures(card, (await response.json()).features);
  }
}

function show() {
  const { status } = view;
  if (status !== null) {
    const nowMs = Date.now() + view.clockOffsetMs;
    showHeader(status, view.rate, nowMs);
    showFilters(status.machines);
    showMachines(status, nowMs);
    showAlarms(status.alarms);
    showModels(status.models);
  }
  showLost();
}

/** Last, because it takes back what the last answer claimed. */
function showLost() {
  const silentMs = performance.now() - view.answeredAt;
  const lost = silentMs > LOST_AFTER_MS;
  byId('lost').hidden = !lost;
  document.body.classList.toggle('is-lost', lost);
  if (!lost) return;
  const since = view.everAnswered ? ` What you see is from ${clockText(Date.now() - silentMs)}.` : '';
  setText(byId('lost'), `No answer from the gateway for ${spanText(silentMs)}.${since}`);
  byId('readiness').dataset.ready = 'unknown';
  setText(byId('readiness'), 'No answer');
}

function showFilters(machines) {
  const counts = Object.keys(STATES).map((state) => ({
    state,
    count: machines.filter((machine) => stateOf(machine) === STATES[state]).length,
  }));
  keyed(
    byId('filters'),
    counts.filter(({ count, state }) => count > 0 || view.hiddenStates.has(state)),
    {
      key: ({ state }) => state,
      make: makeFilter,
      update: (button, { state, count }) => {
        setText(button, `${countText(count)} ${STATES[state].word.toLowerCase()}`);
        button.setAttribute('aria-pressed', String(!view.hiddenStates.has(state)));
      },
    },
  );
}

function makeFilter({ state }) {
  const button = el('button', { type: 'button', class: 'filter', 'data-state': state });
  button.addEventListener('click', () => {
    if (!view.hiddenStates.delete(state)) view.hiddenStates.add(state);
    show();
  });
  return button;
}

/** Worst first, then by name. */
function showMachines(status, nowMs) {
  const shown = status.machines
    .filter((machine) => !view.hiddenStates.has(STATES[machine.state] ? machine.state : 'unknown'))
    .sort(
      (a, b) =>
        stateOf(a).rank - stateOf(b).rank || a.machine.localeCompare(b.machine, 'en', { numeric: true }),
    );
  keyed(byId('cards'), shown, {
    key: (machine) => machine.machine,
    make: (machine) => makeCard(machine, openFeatures),
    update: (card, machine) => updateCard(card, machine, nowMs),
  });
  const none = byId('none');
  none.hidden = shown.length > 0;
  if (shown.length > 0) return;
  setText(
    none,
    status.machines.length > 0
      ? 'No machine in the chosen states.'
      : `No machine has sent anything yet. Sensors connect to ${status.ingest.address}.`,
  );
}

function openFeatures(machine, isOpen) {
  if (isOpen) view.open.add(machine.machine);
  else view.open.delete(machine.machine);
  if (isOpen) refreshOpenCards().catch(() => {});
}

const TRANSITIONS = { raised: 'raised', cleared: 'cleared' };

function showAlarms(alarms) {
  document.querySelector('.alarms').hidden = alarms.length === 0;
  keyed(byId('alarms'), alarms.slice(0, 30), {
    key: (alarm) => `${alarm.machine} ${alarm.condition} ${alarm.timeMs} ${alarm.transition}`,
    make: (alarm) =>
      el(
        'li',
        { class: 'event', 'data-state': alarm.transition === 'raised' ? alarm.severity : 'healthy' },
        el('time', { datetime: new Date(alarm.timeMs).toISOString() }, clockText(alarm.timeMs)),
        el('b', {}, alarm.machine),
        el(
          'span',
          { class: 'tag' },
          `${alarm.severity} ${TRANSITIONS[alarm.transition] ?? alarm.transition}`,
        ),
        el('span', { class: 'message' }, alarm.message),
      ),
    update: () => {},
  });
}

function showModels(models) {
  document.querySelector('.models').hidden = models.length === 0;
  keyed(byId('models'), models, {
    key: (model) => `${model.name} ${model.version} ${model.state} ${model.reason}`,
    make: (model) =>
      el(
        'li',
        { 'data-state': model.state },
        el('b', {}, `${model.name} ${model.version}`),
        el(
          'span',
          {},
          model.state === 'ready'
            ? `ready for ${model.machineClasses.join(', ')}`
            : `${model.state}: ${model.reason}`,
        ),
        el('code', { title: 'SHA-256 of the model file' }, model.sha256.slice(0, 12)),
      ),
    update: () => {},
  });
}

setInterval(show, 1_000);
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') show();
});
void ask();
