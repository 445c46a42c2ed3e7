#!/usr/bin/env node
/**
 * Operator token -> a bucket, and two tokens that can do no more than they need: one writes it (the gateway), one
 * reads it (Grafana). Run again it finds what it made before, so it does no harm and shows the tokens once more.
 *
 *   INFLUX_OPERATOR_TOKEN=… node deploy/influxdb/setup.mjs --url http://localhost:8086 --org plant --bucket gw --retention-days 365
 *
 * The two lines on standard output fit /etc/millwright/environment and deploy/docker/.env.
 */

import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8086' },
    org: { type: 'string', default: 'plant' },
    bucket: { type: 'string', default: 'gw' },
    'retention-days': { type: 'string', default: '0' },
  },
});
const operatorToken = process.env.INFLUX_OPERATOR_TOKEN ?? '';

async function call(method, path, body) {
  const answer = await fetch(`${values.url.replace(/\/+$/, '')}${path}`, {
    method,
    headers: { authorization: `Token ${operatorToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) {
    const error = new Error(`${method} ${path}: HTTP ${answer.status} ${text.trim()}`);
    throw Object.assign(error, { status: answer.status });
  }
  return JSON.parse(text);
}

async function organization() {
  const { orgs } = await call('GET', `/api/v2/orgs?${new URLSearchParams({ org: values.org })}`);
  return orgs[0];
}

async function bucket(orgID) {
  const query = new URLSearchParams({ orgID, name: values.bucket });
  // Asked for by name, a bucket that does not exist is a 404 rather than an empty list.
  const found = await call('GET', `/api/v2/buckets?${query}`).catch((error) => {
    if (error.status === 404) return { buckets: [] };
    throw error;
  });
  if (found.buckets.length > 0) return found.buckets[0];
  const everySeconds = Math.round(Number(values['retention-days']) * 86_400);
  const retentionRules = everySeconds > 0 ? [{ type: 'expire', everySeconds }] : [];
  return await call('POST', '/api/v2/buckets', { orgID, name: values.bucket, retentionRules });
}

async function token(orgID, bucketID, action) {
  const description = `millwright: ${action} ${values.bucket}`;
  const { authorizations } = await call('GET', `/api/v2/authorizations?${new URLSearchParams({ orgID })}`);
  const known = authorizations.find((one) => one.description === description && one.status === 'active');
  if (known) return known.token;
  const permissions = [{ action, resource: { type: 'buckets', id: bucketID, orgID } }];
  return (await call('POST', '/api/v2/authorizations', { orgID, description, permissions })).token;
}

try {
  if (operatorToken === '') throw new Error('INFLUX_OPERATOR_TOKEN is not set');
  const { id: orgID } = await organization();
  const { id: bucketID } = await bucket(orgID);
  process.stdout.write(`INFLUX_TOKEN=${await token(orgID, bucketID, 'write')}\n`);
  process.stdout.write(`GRAFANA_INFLUX_TOKEN=${await token(orgID, bucketID, 'read')}\n`);
} catch (error) {
  process.stderr.write(`error: ${error.cause?.message ?? error.message}\n`);
  process.exitCode = 1;
}
