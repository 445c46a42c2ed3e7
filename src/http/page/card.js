/** One machine -> one card: state, health, how unusual it is and why, remaining life, last features. */

import { el, keyed, setText, svg } from './dom.js';
import {
  countText,
  deviationText,
  percentText,
  rarityText,
  spanText,
  unitText,
  valueText,
} from './format.js';

/** Colour is never alone: each state has a word and a shape. */
export const STATES = {
  alarm: {
    word: 'Alarm',
    rank: 0,
    shape: 'M8 1.5h8l6.5 6.5v8L16 22.5H8L1.5 16V8z',
    mark: 'M12 6.5v7M12 17v.6',
  },
  warning: { word: 'Warning', rank: 1, shape: 'M12 2.5 22.5 21h-21z', mark: 'M12 9v6M12 17.8v.5' },
  unknown: {
    word: 'Unknown',
    rank: 2,
    shape: 'M3 3h18v18H3z',
    mark: 'M9.3 9.5a2.8 2.8 0 1 1 2.8 3.2v1.2M12 17v.5',
  },
  commissioning: { word: 'Learning', rank: 3, shape: 'M12 2a10 10 0 1 0 .01 0z', mark: 'M12 6.5V12l3.5 2.5' },
  healthy: { word: 'Healthy', rank: 4, shape: 'M12 2a10 10 0 1 0 .01 0z', mark: 'm7.5 12.3 3.2 3.2 6-6.5' },
};

/** A window this many window lengths ago is news: something has stopped sending. */
const STALE_WINDOWS = 3;
/** Never call data younger than this old. */
const STALE_MIN_MS = 15_000;

export const stateOf = (machine) => STATES[machine.state] ?? STATES.unknown;

/** An empty card; `openFeatures(machine)` is asked for all feature rows when the reader opens them. */
export function makeCard({ machine }, openFeatures) {
  const id = `m${nextId++}`;
  const parts = {
    icon: svg(
      'svg',
      { viewBox: '0 0 24 24', 'aria-hidden': 'true', class: 'shape' },
      svg('path', { class: 'body' }),
      svg('path', { class: 'mark' }),
    ),
    word: el('span'),
    machineClass: el('p', { class: 'quiet' }),
    advice: el('p', { class: 'advice' }),
    health: makeMeter('Health'),
    learning: makeMeter('Learning its normal'),
    surprise: makeMeter('Unusual'),
    life: makeMeter('Remaining life'),
    causes: el('ul', { class: 'causes' }),
    key: el('dl', { class: 'values' }),
    more: el('details', {}, el('summary', {}, 'All features'), el('dl', { class: 'values' })),
    age: el('span'),
    quality: el('span', { class: 'quality' }),
  };
  const name = el('h3', { id, title: machine }, machine);
  const card = el(
    'article',
    { class: 'card', 'aria-labelledby': id },
    el(
      'div',
      { class: 'head' },
      el('div', { class: 'names' }, name, parts.machineClass),
      el('p', { class: 'state' }, parts.icon, parts.word),
    ),
    parts.advice,
    el(
      'div',
      { class: 'body' },
      el(
        'div',
        { class: 'judgement' },
        parts.health.element,
        parts.learning.element,
        parts.surprise.element,
        parts.life.element,
      ),
      el('div', { class: 'evidence' }, parts.causes, parts.key),
    ),
    parts.more,
    el('p', { class: 'foot quiet' }, parts.age, parts.quality),
  );
  parts.more.addEventListener('toggle', () => openFeatures(card.machine, parts.more.open));
  card.parts = parts;
  return card;
}

let nextId = 0;

/** Brings a card up to date; cheap when the machine's last answer is unchanged. */
export function updateCard(card, machine, nowMs) {
  updateAge(card, machine, nowMs);
  if (card.machine === machine) return;
  card.machine = machine;
  const { parts } = card;
  const state = stateOf(machine);
  card.dataset.state = STATES[machine.state] ? machine.state : 'unknown';
  setText(parts.word, state.word);
  parts.icon.children[0].setAttribute('d', state.shape);
  parts.icon.children[1].setAttribute('d', state.mark);
  setText(parts.machineClass, machine.machineClass);
  setText(parts.advice, machine.advice === '' ? explanation(machine) : machine.advice);
  parts.advice.hidden = parts.advice.textContent === '';
  updateHealth(parts.health, machine);
  updateLearning(parts.learning, machine);
  updateSurprise(parts.surprise, machine.anomaly);
  updateLife(parts.life, machine.prognosis);
  updateCauses(parts.causes, machine);
  showRows(parts.key, machine.features.slice(0, 6));
  parts.more.hidden = machine.features.length === 0;
}

/** Fills the opened list of all features. */
export function showAllFeatures(card, features) {
  showRows(card.parts.more.querySelector('dl'), features);
}

const REASONS = {
  bad_quality: 'Too few good samples in the last window to judge.',
  deadline: 'The models did not answer in time; the window went on without a score.',
  model_down: 'The models are not running; windows go on without scores.',
  missing_feature: 'A feature that the model needs was missing in the last window.',
  no_model: 'No model watches this machine.',
  no_window_yet: 'No window since the gateway started; this is how it was before.',
};

function explanation({ scoreState, reason, state }) {
  if (scoreState !== 'none' || state === 'commissioning') return '';
  return REASONS[reason] ?? (reason === '' ? '' : `No score: ${reason.replaceAll('_', ' ')}.`);
}

function updateAge(card, { lastWindow }, nowMs) {
  const { age, quality } = card.parts;
  if (lastWindow === null) {
    setText(age, 'no window yet');
    setText(quality, '');
    return;
  }
  const ageMs = nowMs - lastWindow.endMs;
  const stale = ageMs > Math.max(STALE_MIN_MS, STALE_WINDOWS * (lastWindow.endMs - lastWindow.startMs));
  card.classList.toggle('stale', stale);
  setText(age, `${stale ? 'silent: ' : ''}window ended ${spanText(ageMs)} ago`);
  const { coverage } = lastWindow;
  setText(
    quality,
    coverage === null
      ? 'before the last start'
      : `${percentText(coverage)} of samples, ${lastWindow.quality}`,
  );
  quality.dataset.quality = lastWindow.quality ?? '';
}

function makeMeter(label) {
  const parts = {
    value: el('span', { class: 'figure' }),
    fill: el('i', { class: 'fill' }),
    mark: el('i', { class: 'limit' }),
    note: el('p', { class: 'quiet note' }),
  };
  const element = el(
    'div',
    { class: 'meter' },
    el('p', { class: 'label' }, el('span', {}, label), parts.value),
    el('div', { class: 'track', 'aria-hidden': 'true' }, parts.fill, parts.mark),
    parts.note,
  );
  return { element, ...parts };
}

/** @param from,to 0..1 of the track; @param limit where to draw a mark, or null */
function showMeter(meter, { value, from = 0, to, limit = null, note = '', level = '' }) {
  meter.element.hidden = false;
  meter.element.dataset.level = level;
  setText(meter.value, value);
  meter.fill.style.setProperty('--from', clamp(from));
  meter.fill.style.setProperty('--to', clamp(to));
  meter.mark.hidden = limit === null;
  if (limit !== null) meter.mark.style.setProperty('--at', clamp(limit));
  setText(meter.note, note);
  meter.note.hidden = note === '';
}

const clamp = (share) => String(Math.min(1, Math.max(0, share)));

function updateHealth(meter, { healthIndex }) {
  if (healthIndex === null) {
    meter.element.hidden = true;
    return;
  }
  showMeter(meter, { value: percentText(healthIndex), to: healthIndex, level: 'state' });
}

function updateLearning(meter, { state, baselineProgress }) {
  if (state !== 'commissioning') {
    meter.element.hidden = true;
    return;
  }
  showMeter(meter, {
    value: percentText(baselineProgress),
    to: baselineProgress,
    note: 'Scores begin when its own baseline is learned and verified.',
  });
}

/** The track ends at 1.6 times the limit, so that the mark stands where eyes look for it. */
function updateSurprise(meter, anomaly) {
  if (anomaly === null) {
    meter.element.hidden = true;
    return;
  }
  const { surprise, surpriseLimit, pValue } = anomaly;
  const span = surpriseLimit === null ? Math.max(6, surprise) : surpriseLimit * 1.6;
  const over = surpriseLimit !== null && surprise >= surpriseLimit;
  showMeter(meter, {
    value:
      surpriseLimit === null ? surprise.toFixed(1) : `${surprise.toFixed(1)} of ${surpriseLimit.toFixed(1)}`,
    to: surprise / span,
    limit: surpriseLimit === null ? null : surpriseLimit / span,
    note: over ? `Over its limit: ${rarityText(pValue)}` : capitalized(rarityText(pValue)),
    level: over ? 'over' : '',
  });
}

const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

/** The interval as a bar and the estimate as a mark, on a track that ends a little beyond the interval. */
function updateLife(meter, prognosis) {
  if (prognosis === null) {
    meter.element.hidden = true;
    return;
  }
  const { rul, rulLow, rulHigh, unit, confidence, censored, failureMode } = prognosis;
  const span = Math.max(rulHigh, rul) * 1.1 || 1;
  showMeter(meter, {
    value: `${censored ? 'over ' : ''}${countText(rul)} ${unit}`,
    from: rulLow / span,
    to: censored ? 1 : rulHigh / span,
    limit: censored ? null : rul / span,
    note: censored
      ? `Beyond the horizon of the model (${failureMode})`
      : `${countText(rulLow)} to ${countText(rulHigh)} ${unit} with ${percentText(confidence)} confidence (${failureMode})`,
  });
}

/** Only where they explain something: a healthy machine has contributions too, and they mean nothing. */
function updateCauses(list, { anomaly, state }) {
  const causes =
    anomaly !== null && (state === 'alarm' || state === 'warning') ? anomaly.contributions.slice(0, 3) : [];
  list.hidden = causes.length === 0;
  keyed(list, causes, {
    key: (cause) => cause.featureId,
    make: (cause) => {
      const words = el('span');
      const item = el('li', {}, el('b', {}, cause.featureId), ' ', words);
      item.words = words;
      return item;
    },
    update: (item, cause) => {
      const z = `${cause.z < 0 ? '−' : '+'}${Math.abs(cause.z).toFixed(1)}`;
      setText(item.words, `${deviationText(cause.z)} (z ${z}), ${percentText(cause.share)} of the score`);
    },
  });
}

function showRows(list, rows) {
  keyed(list, rows, {
    key: (row) => row.id,
    make: (row) => {
      const value = el('span');
      const element = el(
        'div',
        { title: row.id },
        el('dt', {}, row.id),
        el('dd', {}, value, el('small', {}, unitText(row.unit))),
      );
      element.value = value;
      return element;
    },
    update: (element, row) => setText(element.value, valueText(row.value)),
  });
}
