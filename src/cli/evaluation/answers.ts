/** What the gateway answered, whatever it is read from: one row per assessed window. */

/** Fields that a source does not have are NaN or ''. */
export interface Answer {
  readonly machine: string;
  /** Window start, ms since the epoch. */
  readonly timeMs: number;
  readonly rul: number;
  readonly rulLow: number;
  readonly rulHigh: number;
  /** p-value of the anomaly detector. */
  readonly pValue: number;
  /** Machine state as a word. */
  readonly state: string;
}

/** Column names as they stand in the database and in a table. */
export type AnswerField = 'rul' | 'rul_low' | 'rul_high' | 'anomaly_p_value' | 'state';

/** Collects fields that arrive one by one into rows. Bounded by what the source holds. */
export class AnswerBook {
  readonly #rows = new Map<string, { machine: string; timeMs: number; fields: Map<AnswerField, string> }>();

  put(machine: string, timeMs: number, field: AnswerField, value: string): void {
    const key = `${timeMs}\0${machine}`;
    const row = this.#rows.get(key) ?? { machine, timeMs, fields: new Map<AnswerField, string>() };
    this.#rows.set(key, row);
    row.fields.set(field, value);
  }

  /** Ascending in time, then by machine. */
  answers(): Answer[] {
    return [...this.#rows.values()]
      .map(({ machine, timeMs, fields }) => {
        const number = (field: AnswerField) => {
          const text = fields.get(field) ?? '';
          return text === '' ? Number.NaN : Number(text);
        };
        return {
          machine,
          timeMs,
          rul: number('rul'),
          rulLow: number('rul_low'),
          rulHigh: number('rul_high'),
          pValue: number('anomaly_p_value'),
          state: fields.get('state') ?? '',
        };
      })
      .sort((a, b) => a.timeMs - b.timeMs || (a.machine < b.machine ? -1 : 1));
  }
}

export const ANSWER_FIELDS: readonly AnswerField[] = [
  'rul',
  'rul_low',
  'rul_high',
  'anomaly_p_value',
  'state',
];
