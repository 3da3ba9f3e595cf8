// Words the faults that zod finds in a config: which key, what was expected, what was found, and the key that
// a misspelt one was probably meant to be.

import { distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { isObject } from '../util/json.js';
import { allKeys, keysAt } from './json-schema.js';
import { inWords } from './values.js';

type Issue = z.core.$ZodIssue;

/** One line for each fault, in the order of the file; `locate` says where a key was given, `value` is what was checked. */
export function describeIssues(
  issues: readonly Issue[],
  value: unknown,
  locate: (path: readonly string[]) => string,
): string[] {
  const faults = issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `${locate([...path, key])}: ${unknownKey(path, key, value)}`);
    }
    const subject = path.length === 0 ? '' : `${path.join('.')}: `;
    const found = foundAt(value, path, issue.input);
    return [`${locate(path)}: ${subject}expected ${expectation(issue, path)}, got ${found}`];
  });
  return faults.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** Our schema's messages say what was expected; the one thing left to zod is that a mapping is one. */
function expectation(issue: Issue, path: readonly string[]): string {
  if (issue.code !== 'invalid_type' || issue.expected !== 'object') return issue.message;
  const [key] = path.length > 0 ? keysAt(path) : [];
  return `a mapping of keys to values${key === undefined ? '' : `, such as { ${key}: … }`}`;
}

function unknownKey(path: readonly string[], key: string, value: unknown): string {
  const full = [...path, key].join('.');
  const known = keysAt(path, value);
  const near = nearest(key, known);
  if (near !== null) return `${full}: unknown key, did you mean ${[...path, near].join('.')}?`;
  if (keysAt(path).includes(key))
    return `${full}: not a key of this kind, expected one of ${known.join(', ')}`;
  const elsewhere = allKeys().find((other) => other.split('.').at(-1) === key);
  if (elsewhere !== undefined) return `${full}: unknown key here, did you mean ${elsewhere}?`;
  return `${full}: unknown key, expected one of ${known.join(', ')}`;
}

/** The word that differs from `word` by few edits, or begins with it. */
function nearest(word: string, known: readonly string[]): string | null {
  const lower = word.toLowerCase();
  const begins = known.filter((candidate) => word.length >= 3 && candidate.toLowerCase().startsWith(lower));
  if (begins.length === 1) return begins[0]!;
  const ranked = known
    .map((candidate) => ({ candidate, edits: distance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const [best] = ranked;
  return best !== undefined && best.edits <= Math.max(1, Math.ceil(word.length / 3)) ? best.candidate : null;
}

/** What stands at `path`, or what the schema put there by default. */
function foundAt(value: unknown, path: readonly string[], checked: unknown): string {
  let found: unknown = value;
  for (const part of path) found = isObject(found) && Object.hasOwn(found, part) ? found[part] : undefined;
  if (found !== undefined) return inWords(found);
  return checked === undefined ? 'nothing' : `${inWords(checked)}, the default`;
}
