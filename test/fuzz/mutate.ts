// Changes an input in ways that reach far into decoders: bits, lengths, numbers, pieces of other inputs, words that
// mean something. The same generator gives the same change.
import type { Random } from '../simulation/random.js';

/** Larger inputs say nothing that smaller ones do not. */
const MAX_BYTES = 64 * 1024;

/** What lengths, counts and ids are tried with, as text. */
const NUMBERS = [
  '0',
  '-1',
  '1',
  '2',
  '255',
  '65536',
  '2147483647',
  '2147483648',
  '4294967295',
  '9007199254740991',
  '9007199254740992',
  '1e308',
  '1e999',
  '0.5',
  '-0',
  'NaN',
];
/** As bytes, little-endian in 8. */
const WORDS = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffffffn,
  0xffffffffn,
  0x100000000n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const FRAGMENTS = [
  'null',
  'true',
  '""',
  '[]',
  '{}',
  '__proto__',
  'constructor',
  '\u0000',
  '\ufeff',
  '\ud800',
  '../../etc/passwd',
  '/etc/passwd',
  '[['.repeat(2000),
  '{"a":'.repeat(2000),
  'A'.repeat(5000),
];

/** Whole inputs that any decoder must do something sensible with. */
export const PLAIN: readonly Uint8Array[] = ['', ...FRAGMENTS, ...NUMBERS].map((text) => Buffer.from(text));

export interface Corpus {
  /** Valid inputs. */
  readonly inputs: readonly Uint8Array[];
  /** Words of the format. */
  readonly words: readonly string[];
}

type Change = (bytes: Buffer, random: Random, corpus: Corpus) => Buffer;

function replace(bytes: Buffer, start: number, end: number, by: Uint8Array | string): Buffer {
  return Buffer.concat([bytes.subarray(0, start), Buffer.from(by as string), bytes.subarray(end)]);
}

const flipBit: Change = (bytes, random) => {
  if (bytes.length > 0) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return bytes;
};

const setByte: Change = (bytes, random) => {
  if (bytes.length > 0) bytes[random.below(bytes.length)] = random.pick([0, 0x0a, 0x22, 0x7f, 0x80, 0xff]);
  return bytes;
};

const truncate: Change = (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1));

const remove: Change = (bytes, random) => {
  const start = random.below(bytes.length + 1);
  return replace(bytes, start, Math.min(bytes.length, start + random.between(1, 64)), '');
};

const duplicate: Change = (bytes, random) => {
  const start = random.below(bytes.length + 1);
  const part = bytes.subarray(start, start + random.between(1, 64));
  const at = random.below(bytes.length + 1);
  return replace(bytes, at, at, part);
};

const splice: Change = (bytes, random, { inputs }) => {
  const other = random.pick(inputs);
  return replace(
    bytes,
    random.below(bytes.length + 1),
    bytes.length,
    other.subarray(random.below(other.length + 1)),
  );
};

const insertWord: Change = (bytes, random, { words }) => {
  const at = random.below(bytes.length + 1);
  return replace(bytes, at, at, random.pick(random.chance(0.5) ? FRAGMENTS : [...words, '']));
};

const setWord: Change = (bytes, random) => {
  const width = random.pick([1, 2, 4, 8]);
  if (bytes.length < width) return bytes;
  const word = Buffer.alloc(8);
  word.writeBigUInt64LE(random.pick(WORDS));
  word.copy(bytes, random.below(bytes.length - width + 1), 0, width);
  return bytes;
};

/** The likeliest to stay well-formed: another number or another value where one stood. */
const changeValue =
  (pattern: RegExp, values: readonly string[]): Change =>
  (bytes, random) => {
    const matches = [...bytes.toString('latin1').matchAll(pattern)];
    if (matches.length === 0) return bytes;
    const { index, 0: text } = random.pick(matches);
    return replace(bytes, index, index + text.length, random.pick(values));
  };
const changeNumber = changeValue(/-?\d+(\.\d+)?/g, NUMBERS);
const changeString = changeValue(/"[^"]*"/g, [
  '""',
  '"x"',
  '"__proto__"',
  '"../x"',
  '0',
  'null',
  '[]',
  '{}',
  '"\\ud800"',
]);

const CHANGES: readonly Change[] = [
  flipBit,
  setByte,
  truncate,
  remove,
  duplicate,
  splice,
  insertWord,
  setWord,
  changeNumber,
  changeNumber,
  changeNumber,
  changeString,
];

/** One of the corpus, changed one to four times. */
export function mutated(corpus: Corpus, random: Random): Uint8Array {
  let bytes: Buffer = Buffer.from(random.pick(corpus.inputs));
  for (let changes = random.between(1, 4); changes > 0; changes--) {
    bytes = random.pick(CHANGES)(Buffer.from(bytes), random, corpus);
  }
  return bytes.subarray(0, MAX_BYTES);
}
