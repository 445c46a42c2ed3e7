/** A table of answers enters (`machine`, `time_ms`, then any of the answer fields), answers leave. */

import { numberCell, parseDelimited } from '../recordings/delimited-text.ts';
import { readSourceFile, recordingError } from '../recordings/source-file.ts';
import { ANSWER_FIELDS, type Answer, AnswerBook } from './answers.ts';

/** @throws GatewayError MW_RECORDING on missing columns or an unreadable time */
export function readTableAnswers(path: string): Answer[] {
  const table = parseDelimited(readSourceFile(path).bytes.toString('utf8'));
  const machine = table.header.indexOf('machine');
  const time = table.header.indexOf('time_ms');
  const fields = ANSWER_FIELDS.map((name) => ({ name, index: table.header.indexOf(name) })).filter(
    (f) => f.index >= 0,
  );
  if (machine < 0 || time < 0 || fields.length === 0) {
    throw recordingError(path, 1, `needs columns machine, time_ms and some of ${ANSWER_FIELDS.join(', ')}`);
  }
  const book = new AnswerBook();
  for (const { line, cells } of table.rows()) {
    const timeMs = numberCell(cells[time]);
    if (Number.isNaN(timeMs)) throw recordingError(path, line, `"${cells[time] ?? ''}" is not a time in ms`);
    for (const { name, index } of fields) book.put(cells[machine] ?? '', timeMs, name, cells[index] ?? '');
  }
  return book.answers();
}
