/** MQTT topic filters and machine globs: a pattern and a name enter, whether they match leaves. */

/** True if `filter` matches `topic`. Source: MQTT 3.1.1 §4.7, with [MQTT-4.7.2-1] for topics that begin with $. */
export function topicMatches(filter: string, topic: string): boolean {
  const wild = filter.charCodeAt(0) === 0x23 || filter.charCodeAt(0) === 0x2b;
  if (wild && topic.charCodeAt(0) === 0x24) return false;
  let f = 0;
  let t = 0;
  for (;;) {
    const filterEnd = levelEnd(filter, f);
    if (filterEnd === f + 1 && filter[f] === '#') return true;
    const topicEnd = levelEnd(topic, t);
    const any = filterEnd === f + 1 && filter[f] === '+';
    if (!any && !sameLevel(filter, f, filterEnd, topic, t, topicEnd)) return false;
    const filterDone = filterEnd === filter.length;
    if (topicEnd === topic.length) {
      // "a/#" also matches "a" itself.
      return filterDone || (filterEnd + 2 === filter.length && filter[filterEnd + 1] === '#');
    }
    if (filterDone) return false;
    f = filterEnd + 1;
    t = topicEnd + 1;
  }
}

function levelEnd(text: string, from: number): number {
  const slash = text.indexOf('/', from);
  return slash === -1 ? text.length : slash;
}

function sameLevel(a: string, aFrom: number, aTo: number, b: string, bFrom: number, bTo: number): boolean {
  return aTo - aFrom === bTo - bFrom && a.startsWith(b.slice(bFrom, bTo), aFrom);
}

/** True if `glob` (`*` any run, `?` one character) matches all of `name`. Linear in practice, no backtracking tree. */
export function globMatches(glob: string, name: string): boolean {
  let g = 0;
  let n = 0;
  let star = -1;
  let starName = 0;
  while (n < name.length) {
    if (g < glob.length && glob[g] !== '*' && (glob[g] === '?' || glob[g] === name[n])) {
      g += 1;
      n += 1;
    } else if (glob[g] === '*') {
      star = g;
      starName = n;
      g += 1;
    } else if (star >= 0) {
      // Only the last star ever has to give way.
      starName += 1;
      g = star + 1;
      n = starName;
    } else {
      return false;
    }
  }
  while (glob[g] === '*') g += 1;
  return g === glob.length;
}

/** True if every topic that `requested` matches is also matched by `allowed`. */
export function filterCovers(allowed: string, requested: string): boolean {
  const wide = allowed.split('/');
  const narrow = requested.split('/');
  for (const [i, level] of wide.entries()) {
    if (level === '#') return true;
    const other = narrow[i];
    if (other === undefined || other === '#') return false;
    if (level !== '+' && level !== other) return false;
  }
  return wide.length === narrow.length;
}
