/** Rules between the keys of store and sinks, and the warnings that do not keep a gateway from starting. */

import { isLoopback } from '../domain/loopback.ts';
import { formatPath } from './json-path.ts';
import type { ConfigProblem } from './problem.ts';
import type { Config } from './schema.ts';
import { maskUrls } from './secrets.ts';

function* retryDelaysGrow({ sinks }: Config): Iterable<ConfigProblem> {
  for (const [name, { retryMinMs, retryMaxMs }] of Object.entries(sinks)) {
    if (retryMinMs <= retryMaxMs) continue;
    yield {
      path: ['sinks', name, 'retryMinMs'],
      message: `${retryMinMs} is more than retryMaxMs ${retryMaxMs}; allowed: up to retryMaxMs`,
      involves: [['sinks', name, 'retryMaxMs']],
    };
  }
}

function* sinkUrlsParse({ sinks }: Config): Iterable<ConfigProblem> {
  for (const [name, { url }] of Object.entries(sinks)) {
    if (URL.canParse(url)) continue;
    yield {
      path: ['sinks', name, 'url'],
      message: `${JSON.stringify(maskUrls(url))} is no URL; allowed: http://host:8086`,
    };
  }
}

function* deadLettersFitTheStore({ store }: Config): Iterable<ConfigProblem> {
  if (store.maxDeadLetterBytes <= store.maxBytes / 2) return;
  yield {
    path: ['store', 'maxDeadLetterBytes'],
    message: `${store.maxDeadLetterBytes} is more than half of store.maxBytes ${store.maxBytes}; allowed: up to ${Math.floor(store.maxBytes / 2)}`,
    involves: [['store', 'maxBytes']],
  };
}

export const deliveryChecks = [retryDelaysGrow, sinkUrlsParse, deadLettersFitTheStore] as const;

/** What is allowed but probably not meant, one line each; `run` logs them, `check` prints them. */
export function configWarnings(config: Config): string[] {
  const warnings: string[] = [];
  const { embedded, mode } = config.ingest;
  if (mode === 'embedded' && embedded.allowAnonymous && !isLoopback(embedded.host)) {
    warnings.push(
      `ingest.embedded: anyone who reaches ${embedded.host}:${embedded.port} may publish (allowAnonymous)`,
    );
  }
  if (mode === 'embedded' && !embedded.allowAnonymous && embedded.users.length === 0) {
    warnings.push('ingest.embedded: nobody can connect; add users, or set allowAnonymous: true');
  }
  if (config.http.enabled && !isLoopback(config.http.host)) {
    warnings.push(
      `http.host: anyone who reaches ${config.http.host}:${config.http.port} can read the page and the API`,
    );
  }
  if (Object.keys(config.sinks).length === 0) {
    warnings.push(
      'sinks: none declared; results stay on this device and leave only through the page and the API',
    );
  }
  for (const [name, sink] of Object.entries(config.sinks)) warnings.push(...sinkWarnings(name, sink));
  return warnings;
}

function* sinkWarnings(name: string, sink: Config['sinks'][string]): Iterable<string> {
  const key = formatPath(['sinks', name]);
  if (sink.type === 'influxdb2' && sink.token === '') {
    yield `${key}.token: empty; InfluxDB 2 answers 401 to writes without a token`;
  }
  const hasSecret = sink.type === 'influxdb2' ? sink.token !== '' : sink.password !== undefined;
  const url = new URL(sink.url);
  if (hasSecret && url.protocol === 'http:' && !isLoopback(url.hostname)) {
    yield `${key}.url: the credentials travel unencrypted to ${url.hostname}; use https://`;
  }
}
