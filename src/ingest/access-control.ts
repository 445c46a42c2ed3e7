/** Credentials of a CONNECT enter, what their owner may publish and subscribe to leaves. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IngestConfig } from '../config/schema.ts';
import { filterCovers, topicMatches } from './topic-filter.ts';

type EmbeddedConfig = IngestConfig['embedded'];
type User = EmbeddedConfig['users'][number];

/** Verdicts kept per user; beyond, the memory of them starts over. */
const MAX_REMEMBERED = 4096;
/** Longer topics are judged anew each time: they are rare, and would make the memory large. */
const MAX_REMEMBERED_LENGTH = 512;

/** What one identity may do. Topics and filters that begin with $ belong to the broker and are never granted. */
export class AccessRights {
  /** '' for an anonymous client. */
  readonly username: string;
  readonly #publish: readonly string[];
  readonly #subscribe: readonly string[];
  readonly #verdicts = new Map<string, boolean>();

  /** @param publish topic filters @param subscribe topic filters */
  constructor(username: string, publish: readonly string[], subscribe: readonly string[]) {
    this.username = username;
    this.#publish = publish;
    this.#subscribe = subscribe;
  }

  mayPublish(topic: string): boolean {
    const known = this.#verdicts.get(topic);
    if (known !== undefined) return known;
    const verdict = !topic.startsWith('$') && this.#publish.some((filter) => topicMatches(filter, topic));
    if (topic.length > MAX_REMEMBERED_LENGTH) return verdict;
    if (this.#verdicts.size >= MAX_REMEMBERED) this.#verdicts.clear();
    this.#verdicts.set(topic, verdict);
    return verdict;
  }

  /** True if the filter asks for nothing beyond what is granted. */
  maySubscribe(filter: string): boolean {
    return !filter.startsWith('$') && this.#subscribe.some((allowed) => filterCovers(allowed, filter));
  }
}

/** The users of the embedded broker. */
export class AccessControl {
  readonly #users = new Map<string, { readonly digest: Buffer; readonly rights: AccessRights }>();
  readonly #anonymous: AccessRights | null;

  constructor({ users, allowAnonymous }: EmbeddedConfig) {
    for (const user of users) {
      const rights = new AccessRights(
        user.username,
        ownFilters(user, 'publish'),
        ownFilters(user, 'subscribe'),
      );
      this.#users.set(user.username, { digest: digestOf(user.password), rights });
    }
    this.#anonymous = allowAnonymous ? new AccessRights('', ['#'], ['#']) : null;
  }

  /**
   * The rights of a client, or null if it is turned away. Without declared users, credentials sent to a broker that
   * takes anyone do not matter; with users, a wrong name or password never falls back to anonymous.
   */
  authenticate(username: string | undefined, password: Buffer | undefined): AccessRights | null {
    if (username === undefined || this.#users.size === 0) return this.#anonymous;
    const user = this.#users.get(username);
    // An unknown name costs the same comparison as a known one.
    const same = timingSafeEqual(digestOf(password ?? ''), user?.digest ?? NO_DIGEST);
    return user !== undefined && same ? user.rights : null;
  }
}

const NO_DIGEST = Buffer.alloc(32);

/** Digests have one length, whatever the passwords. */
function digestOf(password: string | Buffer): Buffer {
  return createHash('sha256').update(password).digest();
}

/** The user's filters with its own name for %u; a name that would act as a wildcard or further levels gets none. */
function ownFilters(user: User, list: 'publish' | 'subscribe'): string[] {
  const plain = !/[+#/]/.test(user.username);
  return user[list]
    .filter((filter) => plain || !filter.includes('%u'))
    .map((filter) => filter.replaceAll('%u', () => user.username));
}
