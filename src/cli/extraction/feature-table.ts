/** Feature vectors enter, lines of a comma-separated table leave. */

import { type FeatureSpec, type FeatureVector, fullFeatureId } from '../../domain/feature-vector.ts';

const LEADING = ['machine', 'start_ms', 'end_ms', 'coverage', 'quality'] as const;

/** Columns of one machine class: five that place the window, then every full feature id in schema order. */
export class FeatureTable {
  readonly featureIds: readonly string[];
  readonly #column: ReadonlyMap<string, number>;

  constructor(schema: readonly { readonly channel: string; readonly specs: readonly FeatureSpec[] }[]) {
    this.featureIds = schema.flatMap(({ channel, specs }) =>
      specs.map((spec) => fullFeatureId(channel, spec.id)),
    );
    this.#column = new Map(this.featureIds.map((id, i) => [id, i]));
  }

  header(): string {
    return [...LEADING, ...this.featureIds].join(',');
  }

  /** One line, without its line break. Undefined features (NaN) and channels without data are empty cells. */
  line(vector: FeatureVector): string {
    const cells = new Array<string>(this.featureIds.length).fill('');
    for (const group of vector.groups) {
      group.specs.forEach((spec, i) => {
        const column = this.#column.get(fullFeatureId(group.channel, spec.id));
        if (column !== undefined) cells[column] = floatCell(group.values[i]!);
      });
    }
    const { machine, startMs, endMs, coverage, quality } = vector;
    return [machine, String(startMs), String(endMs), floatCell(coverage), quality, ...cells].join(',');
  }
}

/** Shortest text that reads back as the same double (ECMA-262 Number::toString), sign of zero kept; '' for NaN. */
export function floatCell(value: number): string {
  if (Number.isNaN(value)) return '';
  return Object.is(value, -0) ? '-0' : String(value);
}
