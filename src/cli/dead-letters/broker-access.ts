/** Options and configuration enter, the broker that the gateway listens to leaves. */

import { GatewayError } from '../../errors.ts';
import { findConfigPath, readConfiguration } from '../configuration.ts';
import type { GlobalOptions } from '../global-options.ts';
import type { BrokerAccess } from './republish.ts';

export interface BrokerOptions extends GlobalOptions {
  readonly url?: string;
  readonly username?: string;
  readonly giveUp: number;
}

const DEFAULT_URL = 'mqtt://127.0.0.1:1883';

/**
 * The gateway's own broker, or in external mode the one it subscribes to. Options win over the configuration.
 *
 * @throws GatewayError MW_USAGE where the port is not fixed, MW_CONFIG_INVALID
 */
export function brokerAccess(options: BrokerOptions): BrokerAccess {
  const password = process.env['MILLWRIGHT_MQTT_PASSWORD'];
  const asked = { username: options.username, password, giveUpMs: options.giveUp * 1000 };
  if (findConfigPath(options) === undefined) return { url: options.url ?? DEFAULT_URL, ...asked };
  const { mode, embedded, external } = readConfiguration(options).ingest;
  if (mode === 'external') {
    const own = { username: external.username, password: external.password };
    return { url: options.url ?? external.url, ...asked, ...(options.username === undefined ? own : {}) };
  }
  if (options.url === undefined && embedded.port === 0)
    throw new GatewayError('MW_USAGE', 'the port of the broker is not in the configuration', {
      hint: 'name the broker with --url mqtt://host:port; the log of the gateway says where it listens',
    });
  const host = ['0.0.0.0', '::'].includes(embedded.host) ? '127.0.0.1' : embedded.host;
  const url = options.url ?? `mqtt://${host.includes(':') ? `[${host}]` : host}:${embedded.port}`;
  const user = embedded.users.find(({ username }) => username === options.username);
  return { url, ...asked, password: password ?? user?.password };
}
