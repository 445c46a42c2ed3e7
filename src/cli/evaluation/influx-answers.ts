/** An InfluxDB 2 bucket enters, the answers the gateway delivered to it leave. Flux over the server's HTTP API. */

import { MEASUREMENTS } from '../../domain/points-of.ts';
import { describeError, GatewayError } from '../../errors.ts';
import { parseDelimited } from '../recordings/delimited-text.ts';
import { ANSWER_FIELDS, type Answer, AnswerBook, type AnswerField } from './answers.ts';

export interface InfluxSource {
  readonly url: string;
  readonly org: string;
  readonly bucket: string;
  readonly token: string;
}

const TIMEOUT_MS = 120_000;

/**
 * @throws GatewayError MW_EVALUATE_SOURCE when the server cannot be reached or refuses the query
 */
export async function readInfluxAnswers(source: InfluxSource): Promise<Answer[]> {
  const fields = ANSWER_FIELDS.map((field) => `r._field == ${JSON.stringify(field)}`).join(' or ');
  const flux = `from(bucket: ${fluxString(source.bucket)})
  |> range(start: 1970-01-02T00:00:00Z, stop: 2200-01-01T00:00:00Z)
  |> filter(fn: (r) => r._measurement == "${MEASUREMENTS.assessment}" or r._measurement == "${MEASUREMENTS.health}")
  |> filter(fn: (r) => ${fields})
  |> keep(columns: ["_time", "_field", "_value", "machine"])`;
  const book = new AnswerBook();
  for (const table of annotatedTables(await queryFlux(source, flux))) {
    const column = (name: string) => table.header.indexOf(name);
    const [time, field, value, machine] = ['_time', '_field', '_value', 'machine'].map(column);
    for (const { cells } of table.rows()) {
      const name = cells[field!] as AnswerField;
      if (ANSWER_FIELDS.includes(name))
        book.put(cells[machine!]!, Date.parse(cells[time!]!), name, cells[value!]!);
    }
  }
  return book.answers();
}

async function queryFlux(source: InfluxSource, flux: string): Promise<string> {
  const fail = (what: string, cause?: unknown) =>
    new GatewayError('MW_EVALUATE_SOURCE', `InfluxDB at ${source.url}: ${what}`, {
      cause,
      hint: 'check --influx, --org, --bucket and the token in $INFLUX_TOKEN (it needs to read)',
    });
  let response: Response;
  try {
    response = await fetch(
      `${source.url.replace(/\/+$/, '')}/api/v2/query?org=${encodeURIComponent(source.org)}`,
      {
        method: 'POST',
        headers: {
          authorization: `Token ${source.token}`,
          'content-type': 'application/vnd.flux',
          accept: 'application/csv',
        },
        body: flux,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      },
    );
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw fail(describeError(cause), error);
  }
  const body = await response.text();
  if (!response.ok) throw fail(`${response.status} ${body.slice(0, 300)}`);
  return body;
}

/** A Flux answer is several tables, each with its own header line, apart by blank lines. */
function annotatedTables(csv: string): ReturnType<typeof parseDelimited>[] {
  return csv
    .split(/\r?\n\r?\n/)
    .map((block) =>
      block
        .split(/\r?\n/)
        .filter((line) => line !== '' && !line.startsWith('#'))
        .join('\n'),
    )
    .filter((block) => block !== '')
    .map((block) => parseDelimited(block, ','));
}

/** Flux strings take JSON's escapes for quotes and backslashes. */
function fluxString(text: string): string {
  return JSON.stringify(text);
}
