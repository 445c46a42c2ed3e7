/** Configuration text with `${NAME}` references and an environment -> text with the variables put in. Pure. */

/** Variables by name; an unset one is undefined. */
export type Environment = Readonly<Record<string, string | undefined>>;

export type Expansion =
  | {
      readonly ok: true;
      /** The text with every reference replaced. What a variable holds is not expanded again. */
      readonly text: string;
      /** At least one reference was replaced. */
      readonly expanded: boolean;
      /** The whole text was one reference: the value takes the type of what it holds. */
      readonly whole: boolean;
    }
  | { readonly ok: false; readonly problems: readonly string[] };

// `$${` stands for a literal `${`. The name and the fallback are judged afterwards, so that a typo gets a message.
const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * `${NAME}` gives the variable, `${NAME:-fallback}` the fallback where it is unset or empty (as in a POSIX shell),
 * `$${` a literal `${`. Unset variables and malformed references are problems.
 */
export function expandEnvironment(text: string, env: Environment): Expansion {
  const problems: string[] = [];
  let references = 0;
  const expanded = text.replaceAll(
    REFERENCE,
    (match: string, body: string | undefined, close: string | undefined) => {
      if (body === undefined) return '${';
      references++;
      const at = body.indexOf(':-');
      const name = at === -1 ? body : body.slice(0, at);
      if (close !== '}' || !NAME.test(name)) {
        problems.push(
          `${JSON.stringify(match)} is not a reference; write \${NAME}, \${NAME:-fallback}, or $\${ for the two characters`,
        );
        return '';
      }
      const value = env[name];
      if (at !== -1) return value === undefined || value === '' ? body.slice(at + 2) : value;
      if (value === undefined) {
        problems.push(`environment variable ${name} is not set; set it, or write \${${name}:-fallback}`);
        return '';
      }
      return value;
    },
  );
  if (problems.length > 0) return { ok: false, problems };
  const whole = references === 1 && /^\$\{[^}]*\}$/.test(text);
  return { ok: true, text: expanded, expanded: references > 0, whole };
}

const NUMBER = /^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/;

/** The value a plain YAML scalar with this text would have: a finite number, true, false, or the text itself. */
export function typedValue(text: string): string | number | boolean {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (NUMBER.test(text) && Number.isFinite(Number(text))) return Number(text);
  return text;
}
