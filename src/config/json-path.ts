/** The way from the root of the configuration to one value, and how it is written for a person. */

/** Keys of mappings and indices of lists, outermost first; empty is the root. */
export type JsonPath = readonly (string | number)[];

const PLAIN_KEY = /^[A-Za-z0-9_-]+$/;

/**
 * A path as the operator would say it: `machineClasses.pump.topics[0]`; a key with other characters is quoted.
 * The root gives `the configuration`.
 */
export function formatPath(path: JsonPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!PLAIN_KEY.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text === '' ? 'the configuration' : text;
}

/** True if `path` is `ancestor` or lies below it. */
export function isWithin(path: JsonPath, ancestor: JsonPath): boolean {
  return ancestor.length <= path.length && ancestor.every((part, i) => String(part) === String(path[i]));
}

/** The value at `path`, or undefined where the way ends early. Own properties only. */
export function valueAt(root: unknown, path: JsonPath): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}
