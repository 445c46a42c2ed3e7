/** The gateway's own state -> the top of the page: readiness, facts, and what is wrong with what to do about it. */

import { el, keyed, setText } from './dom.js';
import { bytesText, countText, spanText } from './format.js';

const byId = (id) => document.getElementById(id);

/** @param rate acknowledged messages per second, or null before the second answer */
export function showHeader(status, rate, nowMs) {
  setText(byId('gateway'), status.gateway);
  setText(
    byId('identity'),
    `Millwright ${status.version} · running for ${spanText(nowMs - status.startedMs)}`,
  );
  document.title = titleOf(status);
  const readiness = byId('readiness');
  readiness.dataset.ready = String(status.ready);
  setText(readiness, status.ready ? 'Ready' : 'Not ready');
  keyed(byId('facts'), factsOf(status, rate), {
    key: (fact) => fact.name,
    make: makeFact,
    update: updateFact,
  });
  keyed(byId('trouble'), troubleOf(status), {
    key: (line) => line,
    make: (line) => el('p', {}, line),
    update: () => {},
  });
}

function titleOf(status) {
  const alarms = status.machines.filter((machine) => machine.state === 'alarm').length;
  return alarms > 0 ? `(${alarms}) ${status.gateway} · Millwright` : `${status.gateway} · Millwright`;
}

function factsOf(status, rate) {
  const { ingest, store, sinks, clock } = status;
  const latency = ingest.ackLatencyP99Ms;
  const facts = [
    {
      name: ingest.mode === 'external' ? 'Broker' : 'MQTT connections',
      value: ingest.mode === 'external' ? (ingest.ok ? 'connected' : 'away') : countText(ingest.connections),
      note:
        ingest.sessionGaps > 0
          ? `${ingest.address}; forgot us ${countText(ingest.sessionGaps)} times`
          : ingest.address,
      bad: !ingest.ok,
    },
    {
      name: 'Acknowledged',
      value: rate === null ? countText(ingest.acknowledgedMessages) : `${countText(rate)} /s`,
      note: `${countText(ingest.acknowledgedMessages)} in all${latency === null ? '' : `, 99 % within ${countText(latency)} ms`}`,
    },
    {
      name: 'Store',
      value: bytesText(store.bytes),
      note: `${STORE_WORDS[store.status] ?? store.status}, may grow to ${bytesText(store.maxBytes)}`,
      bad: store.status !== 'ok',
    },
    {
      name: 'Dead letters',
      value: countText(deadLetters(status)),
      note: 'kept with their reason: millwright outbox',
      bad: deadLetters(status) > 0,
    },
  ];
  if (clock) facts.push(clockFact(clock));
  for (const sink of sinks) facts.push(sinkFact(sink));
  return facts;
}

const CLOCK_WORDS = { synced: 'synchronised', provisional: 'not confirmed', unsynced: 'not set' };

function clockFact({ state, reason, heldSamples, steps, devices }) {
  const notes = [];
  if (reason !== '') notes.push(reason);
  if (heldSamples > 0) notes.push(`${countText(heldSamples)} samples wait for it`);
  if (steps > 0) notes.push(`${countText(steps)} steps seen`);
  if (devices.length > 0)
    notes.push(
      `${devices[0].machine} is ${devices[0].offsetMs > 0 ? 'behind' : 'ahead'} by ${spanText(Math.abs(devices[0].offsetMs))}`,
    );
  return {
    name: 'Clock',
    value: CLOCK_WORDS[state] ?? state,
    note: notes.join('; '),
    bad: state === 'unsynced',
  };
}

const STORE_WORDS = { ok: 'healthy', read_only: 'read-only', full: 'full', suspect: 'suspect' };
const SINK_WORDS = { ok: 'delivering', retrying: 'retrying', held: 'held back', stopped: 'stopped' };

function sinkFact(sink) {
  const waiting =
    sink.backlogPoints > 0 && sink.backlogEtaS !== null
      ? `, clear in ${spanText(sink.backlogEtaS * 1000)}`
      : '';
  return {
    name: `Sink ${sink.sink}`,
    value: sink.backlogPoints === 0 ? 'up to date' : `${countText(sink.backlogPoints)} waiting`,
    note: `${SINK_WORDS[sink.state] ?? sink.state}, ${countText(sink.deliveredPoints)} delivered${waiting}`,
    bad: sink.state !== 'ok',
  };
}

function deadLetters({ sinks, store }) {
  return sinks.reduce((sum, sink) => sum + sink.deadLetteredPoints, store.ledger.deadLetteredMessages);
}

/** One sentence per thing that is wrong. */
function troubleOf({ reasons, ingest, sinks }) {
  const lines = [...reasons];
  if (!ingest.ok && ingest.reason !== '') lines.push(`MQTT: ${ingest.reason}`);
  for (const sink of sinks) {
    if (sink.state === 'ok' || sink.reason === '') continue;
    lines.push(`Sink ${sink.sink}: ${sink.reason}${sink.hint === '' ? '' : `. ${sink.hint}`}`);
  }
  return [...new Set(lines)];
}

function makeFact({ name }) {
  const parts = { value: el('dd', { class: 'value' }), note: el('dd', { class: 'quiet' }) };
  const element = el('div', { class: 'fact' }, el('dt', {}, name), parts.value, parts.note);
  element.parts = parts;
  return element;
}

function updateFact(element, { value, note, bad }) {
  element.classList.toggle('bad', bad === true);
  setText(element.parts.value, value);
  setText(element.parts.note, note);
}
