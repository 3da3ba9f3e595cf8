// The kinds of value a config key can hold: each is a zod type that carries its default, its doc sentence
// and, as its error message, what was expected. What was found is added by whoever reports the error.

import { z } from 'zod';
import { isObject } from '../util/json.js';

interface Range {
  readonly min?: number;
  readonly max?: number;
  readonly above?: number; // exclusive
  readonly below?: number; // exclusive
}

/** A whole number from `min` to `max`, both included. */
export function integer(range: { min: number; max: number }, byDefault: number, doc: string) {
  return integerType(range).default(byDefault).describe(doc);
}

/** As `integer`, or null for "none". */
export function integerOrNull(range: { min: number; max: number }, byDefault: number | null, doc: string) {
  const error = `${integerText(range)}, or null`;
  return z
    .union([integerType(range, error), z.null()], { error })
    .default(byDefault)
    .describe(doc);
}

/** The URL of a web server, or null for "none". It holds no password: those come from the environment. */
export function webUrlOrNull(doc: string) {
  const error = 'an http or https URL without a user name, or null';
  const url = z.string().refine(isWebUrl, { error });
  return z.union([url, z.null()], { error }).default(null).describe(doc);
}

function isWebUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return (
    (url?.protocol === 'http:' || url?.protocol === 'https:') && url.username === '' && url.password === ''
  );
}

/** A finite number within a range whose ends may be open. */
export function number(range: Range, byDefault: number, doc: string) {
  return numberType(range).default(byDefault).describe(doc);
}

/** As `number`, or null for "none". */
export function numberOrNull(range: Range, byDefault: number | null, doc: string) {
  const error = `${numberText(range)}, or null`;
  return z
    .union([numberType(range, error), z.null()], { error })
    .default(byDefault)
    .describe(doc);
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(
  words: T,
  byDefault: T[number],
  doc: string,
) {
  return z
    .enum(words, { error: `one of ${words.join(', ')}` })
    .default(byDefault as z.util.NoUndefined<T[number]>)
    .describe(doc);
}

export function flag(byDefault: boolean, doc: string) {
  return z.boolean({ error: 'true or false' }).default(byDefault).describe(doc);
}

/** A text of at least one character, without a default. */
export function text(expected: string, doc: string) {
  return z.string({ error: expected }).min(1, { error: expected }).describe(doc);
}

/** As `text`, or null for "none", which is the default. */
export function textOrNull(expected: string, doc: string) {
  const error = `${expected}, or null`;
  return z
    .union([z.string({ error }).min(1, { error }), z.null()], { error })
    .default(null)
    .describe(doc);
}

/**
 * A mapping whose `kind` says which other keys it has; without a `kind` it is one of kind `byDefault`, so that
 * its other keys can be given alone.
 */
export function kinds<const T extends readonly [KindOption, ...KindOption[]]>(
  byDefault: string,
  options: T,
  doc: string,
) {
  const words = options.map((option) => option.shape.kind.value).join(', ');
  const union = z.discriminatedUnion('kind', options, {
    error: ({ code }) =>
      code === 'invalid_union' ? `one of ${words}` : `a mapping with kind: one of ${words}`,
  });
  const withKind = (value: unknown): unknown =>
    isObject(value) && !Object.hasOwn(value, 'kind') ? { kind: byDefault, ...value } : value;
  return z.preprocess(withKind, union).prefault({ kind: byDefault }).describe(doc);
}

type KindOption = z.ZodObject<{ kind: z.ZodLiteral<string> }>;

export function integerType(range: { min: number; max: number }, error = integerText(range)) {
  return z.int({ error }).min(range.min, { error }).max(range.max, { error });
}

function numberType(range: Range, error = numberText(range)) {
  let type = z.number({ error });
  if (range.min !== undefined) type = type.min(range.min, { error });
  if (range.above !== undefined) type = type.gt(range.above, { error });
  if (range.max !== undefined) type = type.max(range.max, { error });
  if (range.below !== undefined) type = type.lt(range.below, { error });
  return type;
}

function integerText({ min, max }: { min: number; max: number }): string {
  return max === Number.MAX_SAFE_INTEGER
    ? `a whole number, ${min} or more`
    : `a whole number from ${min} to ${max}`;
}

function numberText(range: Range): string {
  const bounds: string[] = [];
  if (range.min !== undefined) bounds.push(`at least ${range.min}`);
  if (range.above !== undefined) bounds.push(`above ${range.above}`);
  if (range.max !== undefined) bounds.push(`at most ${range.max}`);
  if (range.below !== undefined) bounds.push(`below ${range.below}`);
  return bounds.length === 0 ? 'a number' : `a number ${bounds.join(' and ')}`;
}
