// What a piece of the input says: its texts or pairs, each in its part, and the lines that could not be read.

import { isUtf8 } from 'node:buffer';
import { isObject } from '../util/json.js';
import { HELD_OUT_BLOCK_BYTES, isHeldOut, PAIR_BLOCK_BYTES } from './held-out.js';
import { MAX_LINE_BYTES, type Piece } from './pieces.js';

/** A text, or a source and its target. */
export interface Entry {
  readonly texts: readonly string[];
  readonly heldOut: boolean;
  /** Whether a document ends here (always, but for text cut in pieces). */
  readonly ends: boolean;
}

export interface MalformedLine {
  /** From 1, within the piece. */
  readonly line: number;
  readonly problem: string;
}

export interface Parsed {
  readonly entries: readonly Entry[];
  readonly lines: number;
  readonly lineBreaks: number;
  readonly malformed: number;
  /** The first few of them. */
  readonly firstMalformed: readonly MalformedLine[];
}

export interface RecordOptions {
  readonly pairs: boolean;
  /** The field of a .jsonl line that holds its text. */
  readonly field: string;
  readonly heldOutShare: number;
}

/** How many malformed lines are described. */
export const DESCRIBED_MALFORMED = 5;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NOT_UTF8 = 'not UTF-8';

/** Reads a piece. Blank lines of .jsonl and .tsv are passed over; malformed ones are left out and counted. */
export function parsePiece(piece: Piece, options: RecordOptions): Parsed {
  const problems = new Problems();
  if (piece.tooLong) {
    problems.add(1, `longer than ${MAX_LINE_BYTES} bytes`);
    return { entries: [], lines: 1, lineBreaks: 1, ...problems.result() };
  }
  const lines = linesOf(piece.bytes);
  const lineBreaks = piece.bytes.at(-1) === NEWLINE ? lines.length : Math.max(0, lines.length - 1);
  const entries =
    piece.format === 'text'
      ? textEntries(piece, lines, problems)
      : lineEntries(piece, lines, options, problems);
  return { entries, lines: lines.length, lineBreaks, ...problems.result() };
}

/** Collects malformed lines. */
class Problems {
  private count = 0;
  private readonly first: MalformedLine[] = [];

  add(line: number, problem: string): void {
    this.count++;
    if (this.first.length < DESCRIBED_MALFORMED) this.first.push({ line, problem });
  }

  result(): { malformed: number; firstMalformed: readonly MalformedLine[] } {
    return { malformed: this.count, firstMalformed: this.first };
  }
}

/** Where a line begins, and where it ends, with its line break. */
type Range = readonly [start: number, end: number];

function linesOf(bytes: Uint8Array): Range[] {
  const lines: Range[] = [];
  for (let start = 0; start < bytes.length;) {
    const at = bytes.indexOf(NEWLINE, start);
    const end = at < 0 ? bytes.length : at + 1;
    lines.push([start, end]);
    start = end;
  }
  return lines;
}

function textOf(bytes: Uint8Array, [start, end]: Range): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
}

function textEntries(piece: Piece, lines: readonly Range[], problems: Problems): Entry[] {
  const { bytes, heldOut, endsDocument } = piece;
  let text: string;
  if (isUtf8(bytes)) {
    text = textOf(bytes, [0, bytes.length]);
  } else {
    const good = lines.filter((range, index) => {
      const valid = isUtf8(bytes.subarray(...range));
      if (!valid) problems.add(index + 1, NOT_UTF8);
      return valid;
    });
    text = good.map((range) => textOf(bytes, range)).join('');
  }
  return [{ texts: [text], heldOut, ends: endsDocument }];
}

function lineEntries(
  piece: Piece,
  lines: readonly Range[],
  options: RecordOptions,
  problems: Problems,
): Entry[] {
  const parse = piece.format === 'tsv' ? parseTsv : options.pairs ? parseJsonPair : parseJsonText;
  const blockBytes = options.pairs ? PAIR_BLOCK_BYTES : HELD_OUT_BLOCK_BYTES;
  const { bytes } = piece;
  const allValid = isUtf8(bytes);
  const entries: Entry[] = [];
  for (const [index, range] of lines.entries()) {
    const line = textOf(bytes, withoutBreak(bytes, range));
    if (line.trim() === '') continue;
    const valid = allValid || isUtf8(bytes.subarray(...range));
    const found = valid ? parse(line, options.field) : NOT_UTF8;
    if (typeof found === 'string') problems.add(index + 1, found);
    else if (found.some((text) => text !== '')) {
      const heldOut = isHeldOut(piece.offset + range[0], options.heldOutShare, blockBytes);
      entries.push({ texts: found, heldOut, ends: true });
    }
  }
  return entries;
}

function withoutBreak(bytes: Uint8Array, [start, end]: Range): Range {
  let last = end;
  if (last > start && bytes[last - 1] === NEWLINE) last--;
  if (last > start && bytes[last - 1] === CARRIAGE_RETURN) last--;
  return [start, last];
}

/** The texts of a line, or what is wrong with it. */
type LineParser = (line: string, field: string) => readonly string[] | string;

const parseTsv: LineParser = (line) => {
  const columns = line.split('\t');
  if (columns.length !== 2) return `expected 2 columns (source, tab, target), found ${columns.length}`;
  return checkPair(columns[0], columns[1]);
};

const parseJsonText: LineParser = (line, field) => {
  const object = parseObject(line);
  if (typeof object === 'string') return object;
  const text = object[field];
  return typeof text === 'string' ? [text] : `expected a string in "${field}", found ${kindOf(text)}`;
};

const parseJsonPair: LineParser = (line) => {
  const object = parseObject(line);
  return typeof object === 'string' ? object : checkPair(object.source, object.target);
};

function parseObject(line: string): Readonly<Record<string, unknown>> | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not JSON';
  }
  return isObject(value) ? value : `expected a JSON object, found ${kindOf(value)}`;
}

function checkPair(source: unknown, target: unknown): readonly string[] | string {
  for (const [name, text] of [
    ['source', source],
    ['target', target],
  ] as const) {
    if (typeof text !== 'string') return `expected a string in "${name}", found ${kindOf(text)}`;
    if (text.trim() === '') return `the ${name} is empty`;
  }
  return [source as string, target as string];
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
