/** Rules between the keys of the front door: listeners, users, broker, ring. */

import { isLoopback } from '../domain/loopback.ts';
import type { ConfigProblem } from './problem.ts';
import type { Config } from './schema.ts';

/** A listener that others can reach needs to know its users, or an explicit word that it need not. */
function* exposedBrokerNeedsUsers({ ingest }: Config): Iterable<ConfigProblem> {
  const { host, users, allowAnonymous } = ingest.embedded;
  if (ingest.mode !== 'embedded' || isLoopback(host) || users.length > 0 || allowAnonymous) return;
  yield {
    path: ['ingest', 'embedded', 'host'],
    message: `${JSON.stringify(host)} can be reached from the network, but no user is declared; add ingest.embedded.users, or set allowAnonymous: true`,
    involves: [
      ['ingest', 'embedded', 'users'],
      ['ingest', 'embedded', 'allowAnonymous'],
    ],
  };
}

function* userNamesAreUnique({ ingest }: Config): Iterable<ConfigProblem> {
  const seen = new Set<string>();
  for (const [i, { username }] of ingest.embedded.users.entries()) {
    if (seen.has(username)) {
      yield {
        path: ['ingest', 'embedded', 'users', i, 'username'],
        message: `${JSON.stringify(username)} is declared twice`,
      };
    }
    seen.add(username);
  }
}

/** MQTT 3.1.1 §4.7.1: + takes a whole level, # a whole last level. */
function* topicFiltersAreValid({ ingest }: Config): Iterable<ConfigProblem> {
  for (const [i, user] of ingest.embedded.users.entries()) {
    for (const list of ['publish', 'subscribe'] as const) {
      for (const [j, filter] of user[list].entries()) {
        const fault = topicFilterFault(filter);
        if (fault !== null) {
          yield {
            path: ['ingest', 'embedded', 'users', i, list, j],
            message: `${JSON.stringify(filter)} is no topic filter: ${fault}`,
          };
        }
      }
    }
  }
}

/** What is wrong with an MQTT topic filter, or null. */
export function topicFilterFault(filter: string): string | null {
  if (filter === '') return 'it is empty';
  const levels = filter.split('/');
  for (const [i, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || i !== levels.length - 1))
      return '# must be the whole last level';
    if (level.includes('+') && level !== '+') return '+ must be a whole level';
  }
  return null;
}

function* connectionLimitsNest({ ingest }: Config): Iterable<ConfigProblem> {
  const { maxConnections, maxConnectionsPerAddress } = ingest.limits;
  if (maxConnectionsPerAddress <= maxConnections) return;
  yield {
    path: ['ingest', 'limits', 'maxConnectionsPerAddress'],
    message: `${maxConnectionsPerAddress} is more than maxConnections ${maxConnections}; allowed: up to maxConnections`,
    involves: [['ingest', 'limits', 'maxConnections']],
  };
}

/** Positions in the ring are masked, so its length is a power of two. */
function* ringIsPowerOfTwo({ ingest }: Config): Iterable<ConfigProblem> {
  const { ringBytes } = ingest;
  if ((ringBytes & (ringBytes - 1)) === 0) return;
  const below = 2 ** Math.floor(Math.log2(ringBytes));
  yield {
    path: ['ingest', 'ringBytes'],
    message: `${ringBytes} is not a power of two; the nearest are ${below} and ${below * 2}`,
  };
}

/** A message must fit the ring beside the padding at its end, or its sender waits for ever. */
function* ringHoldsTheLargestPacket({ ingest }: Config): Iterable<ConfigProblem> {
  const { ringBytes, limits } = ingest;
  if (ringBytes >= 2 * limits.maxPacketBytes) return;
  yield {
    path: ['ingest', 'ringBytes'],
    message: `${ringBytes} is too small for packets of ingest.limits.maxPacketBytes ${limits.maxPacketBytes}; allowed: at least ${2 * limits.maxPacketBytes}`,
    involves: [['ingest', 'limits', 'maxPacketBytes']],
  };
}

function* ringHoldsADeadLetter({ ingest }: Config): Iterable<ConfigProblem> {
  const { ringBytes, deadLetterPayloadBytes } = ingest;
  if (deadLetterPayloadBytes <= ringBytes / 4) return;
  yield {
    path: ['ingest', 'deadLetterPayloadBytes'],
    message: `${deadLetterPayloadBytes} is more than a quarter of ingest.ringBytes ${ringBytes}; allowed: up to ${ringBytes / 4}`,
    involves: [['ingest', 'ringBytes']],
  };
}

function* brokerReconnectGrows({ ingest }: Config): Iterable<ConfigProblem> {
  const { reconnectMinMs, reconnectMaxMs } = ingest.external;
  if (reconnectMinMs <= reconnectMaxMs) return;
  yield {
    path: ['ingest', 'external', 'reconnectMinMs'],
    message: `${reconnectMinMs} is more than reconnectMaxMs ${reconnectMaxMs}; allowed: up to reconnectMaxMs`,
    involves: [['ingest', 'external', 'reconnectMaxMs']],
  };
}

/** MQTT 3.1.1 §3.1.2.9: a password without a user name is a protocol error. */
function* brokerPasswordNeedsUsername({ ingest }: Config): Iterable<ConfigProblem> {
  const { username, password } = ingest.external;
  if (password === undefined || username !== undefined) return;
  yield {
    path: ['ingest', 'external', 'password'],
    message: 'given without username; MQTT knows no password alone',
  };
}

function* brokerCaNeedsTls({ ingest }: Config): Iterable<ConfigProblem> {
  const { caFile, url } = ingest.external;
  if (caFile === undefined || /^(mqtts|ssl|wss):/.test(url)) return;
  yield {
    path: ['ingest', 'external', 'caFile'],
    message: 'given, but url does not ask for TLS; write mqtts://host:8883',
    involves: [['ingest', 'external', 'url']],
  };
}

function* listenersDoNotCollide({ ingest, http }: Config): Iterable<ConfigProblem> {
  const { port } = ingest.embedded;
  if (ingest.mode !== 'embedded' || !http.enabled || port === 0 || port !== http.port) return;
  yield {
    path: ['http', 'port'],
    message: `${port} is also ingest.embedded.port; choose another`,
    involves: [['ingest', 'embedded', 'port']],
  };
}

export const ingestChecks = [
  exposedBrokerNeedsUsers,
  userNamesAreUnique,
  topicFiltersAreValid,
  connectionLimitsNest,
  ringIsPowerOfTwo,
  ringHoldsTheLargestPacket,
  ringHoldsADeadLetter,
  brokerReconnectGrows,
  brokerPasswordNeedsUsername,
  brokerCaNeedsTls,
  listenersDoNotCollide,
] as const;
