/** What `/metrics` says, as numbers. */

/** Series as written (`name{label="x"}`) -> value. */
export async function scrape(httpPort: number): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const rows = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    rows.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

/** Connections turned away or ended by this limit. */
export function refusedBy(metrics: ReadonlyMap<string, number>, limit: string): number {
  return metrics.get(`millwright_ingest_refused_total{limit="${limit}"}`) ?? Number.NaN;
}
