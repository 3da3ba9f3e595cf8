// One line of `lockstep score`'s input: what may stand there, and what is said when something else does.

import { UserError } from '../util/errors.js';
import { excerpt } from '../util/format.js';
import { isObject } from '../util/json.js';

export type ScoreRequest =
  | { readonly kind: 'text'; readonly source: string; readonly target: string }
  /** Ids are taken as they are: no end token is added. */
  | { readonly kind: 'ids'; readonly sourceIds: readonly number[]; readonly targetIds: readonly number[] };

const EXPECTED = 'expected {"source": TEXT, "target": TEXT} or {"sourceIds": [ID, …], "targetIds": [ID, …]}';

/** Fault of line `line` (from 1) of `where`. Throws UserError SCORE_LINE_INVALID. */
function lineFault(where: string, line: number, what: string): UserError {
  return new UserError('SCORE_LINE_INVALID', `${where}, line ${line}: ${what}`);
}

/** Reads line `line` (from 1) of `where`; other keys than the four are ignored. */
export function parseScoreRequest(text: string, where: string, line: number): ScoreRequest {
  const value = parseObject(text, where, line);
  const hasText = 'source' in value || 'target' in value;
  const hasIds = 'sourceIds' in value || 'targetIds' in value;
  if (hasText === hasIds) {
    throw lineFault(where, line, `${EXPECTED}, got ${hasText ? 'both' : `the keys ${keysOf(value)}`}`);
  }
  if (hasText) {
    const { source, target } = value;
    if (typeof source !== 'string') throw lineFault(where, line, wrongType('source', 'a string', source));
    if (typeof target !== 'string') throw lineFault(where, line, wrongType('target', 'a string', target));
    return { kind: 'text', source, target };
  }
  return {
    kind: 'ids',
    sourceIds: idList('sourceIds', value['sourceIds'], where, line),
    targetIds: idList('targetIds', value['targetIds'], where, line),
  };
}

/** What a model takes. */
export interface IdLimits {
  readonly vocabularySize: number;
  readonly maxLength: number;
}

/** Refuses ids that the model does not have, and more of them than it takes. An empty source is refused too. */
export function checkIds(
  what: 'source' | 'target',
  ids: ArrayLike<number>,
  limits: IdLimits,
  where: string,
  line: number,
): void {
  if (what === 'source' && ids.length === 0) {
    throw lineFault(where, line, 'expected at least one source token, got none');
  }
  if (ids.length > limits.maxLength) {
    const fault = `expected a ${what} of at most ${limits.maxLength} tokens (the model's maxLength), got ${ids.length}`;
    throw lineFault(where, line, fault);
  }
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! >= 0 && ids[i]! < limits.vocabularySize) continue;
    const fault = `expected ${what} ids from 0 to ${limits.vocabularySize - 1}, got ${ids[i]} at index ${i}`;
    throw lineFault(where, line, fault);
  }
}

function parseObject(text: string, where: string, line: number): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw lineFault(where, line, `expected one JSON object, got ${excerpt(text)}`);
  }
  if (!isObject(value)) throw lineFault(where, line, `${EXPECTED}, got ${excerpt(text)}`);
  return value;
}

function idList(key: string, value: unknown, where: string, line: number): number[] {
  if (!Array.isArray(value)) throw lineFault(where, line, wrongType(key, 'a list of token ids', value));
  return value.map((id: unknown, i) => {
    if (typeof id === 'number' && Number.isInteger(id)) return id;
    throw lineFault(where, line, wrongType(`${key}[${i}]`, 'a token id, a whole number', id));
  });
}

function wrongType(key: string, expected: string, got: unknown): string {
  const found = got === undefined ? 'nothing' : excerpt(JSON.stringify(got));
  return `expected "${key}" to be ${expected}, got ${found}`;
}

function keysOf(value: Readonly<Record<string, unknown>>): string {
  return excerpt(JSON.stringify(Object.keys(value)));
}
