/** A Grafana dashboard -> the Flux its panels, variables and annotations send, with everything filled in. */

export interface DashboardQuery {
  /** `panel title / refId`, `variable name` or `annotation name`. */
  readonly name: string;
  /** Ready for InfluxDB: what Grafana would send. */
  readonly flux: string;
}

export interface DashboardContext {
  /** Range and window of the panels; Flux literals. */
  readonly start: string;
  readonly stop: string;
  readonly windowPeriod?: string;
  /** Variables of the dashboard; a list stands for several chosen values. */
  readonly variables: Readonly<Record<string, string | readonly string[]>>;
}

interface Dashboard {
  readonly panels: readonly { title: string; targets?: readonly { refId: string; query: string }[] }[];
  readonly templating: { readonly list: readonly { name: string; type: string; query: string }[] };
  readonly annotations: { readonly list: readonly { name: string; target?: { query: string } }[] };
}

/** Every query of the dashboard. @throws Error where a query names a variable the context does not have */
export function dashboardQueries(dashboard: Dashboard, context: DashboardContext): DashboardQuery[] {
  const queries: { name: string; query: string }[] = [];
  for (const { title, targets = [] } of dashboard.panels) {
    for (const { refId, query } of targets) queries.push({ name: `${title} / ${refId}`, query });
  }
  for (const { name, type, query } of dashboard.templating.list) {
    if (type === 'query') queries.push({ name: `variable ${name}`, query });
  }
  for (const { name, target } of dashboard.annotations.list) {
    if (target) queries.push({ name: `annotation ${name}`, query: target.query });
  }
  return queries.map(({ name, query }) => ({
    name: fill(name, context),
    flux: withRange(fill(query, context), context),
  }));
}

function fill(text: string, { variables }: DashboardContext): string {
  return text.replace(/\$\{(\w+)(?::(\w+))?\}/g, (_, name: string, format: string | undefined) => {
    const value = variables[name];
    if (value === undefined)
      throw new Error(`the dashboard uses \${${name}}, the context has no such variable`);
    const values = typeof value === 'string' ? [value] : value;
    if (format === 'regex')
      return values.length === 1 ? quote(values[0]!) : `(${values.map(quote).join('|')})`;
    return values.join(',');
  });
}

function quote(text: string): string {
  return text.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&');
}

/** Grafana sets the option record `v`; imports have to stay in front. */
function withRange(flux: string, { start, stop, windowPeriod = '10s' }: DashboardContext): string {
  const lines = flux.split('\n');
  const imports = lines.filter((line) => line.startsWith('import '));
  const rest = lines.filter((line) => !line.startsWith('import '));
  const v = `v = {timeRangeStart: ${start}, timeRangeStop: ${stop}, windowPeriod: ${windowPeriod}}`;
  return [...imports, v, ...rest].join('\n');
}
