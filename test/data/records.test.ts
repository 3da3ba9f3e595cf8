import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELD_OUT_BLOCK_BYTES } from '../../src/data/held-out.js';
import type { InputFormat } from '../../src/data/inputs.js';
import type { Piece } from '../../src/data/pieces.js';
import { parsePiece, type Parsed } from '../../src/data/records.js';

interface Setting {
  readonly pairs?: boolean;
  readonly field?: string;
  readonly offset?: number;
  readonly heldOutShare?: number;
}

function parse(format: InputFormat, content: string | readonly number[], setting: Setting = {}): Parsed {
  const { pairs = false, field = 'text', offset = 0, heldOutShare = 0 } = setting;
  const bytes = Uint8Array.from(typeof content === 'string' ? Buffer.from(content) : content);
  const piece: Piece = {
    file: 0,
    format,
    bytes,
    offset,
    heldOut: false,
    endsDocument: true,
    tooLong: false,
    diskBytes: 0,
  };
  return parsePiece(piece, { pairs, field, heldOutShare });
}

function texts(parsed: Parsed): (readonly string[])[] {
  return parsed.entries.map((entry) => entry.texts);
}

test('a line of .jsonl is a document: the string in its field', () => {
  const parsed = parse('jsonl', '{"text":"a\\nb"}\r\n\n{"text":""}\n{"text":"c","id":1}');
  assert.deepEqual(texts(parsed), [['a\nb'], ['c']]);
  assert.deepEqual([parsed.lines, parsed.malformed], [4, 0]);
  assert.deepEqual(texts(parse('jsonl', '{"body":"x"}', { field: 'body' })), [['x']]);
});

test('what is wrong with a line of .jsonl is said with its number', () => {
  const parsed = parse('jsonl', '{"text":"a"}\nnonsense\n[1]\n{"text":3}\n{}\nnull\n"x"\n');
  assert.deepEqual(texts(parsed), [['a']]);
  assert.equal(parsed.malformed, 6);
  assert.deepEqual(parsed.firstMalformed, [
    { line: 2, problem: 'not JSON' },
    { line: 3, problem: 'expected a JSON object, found an array' },
    { line: 4, problem: 'expected a string in "text", found a number' },
    { line: 5, problem: 'expected a string in "text", found nothing' },
    { line: 6, problem: 'expected a JSON object, found null' },
  ]);
});

test('pairs come from two columns, or from "source" and "target"', () => {
  assert.deepEqual(texts(parse('tsv', 'Ein Haus\tA house\nzwei \ttwo\n', { pairs: true })), [
    ['Ein Haus', 'A house'],
    ['zwei ', 'two'],
  ]);
  assert.deepEqual(texts(parse('jsonl', '{"target":"A house","source":"Ein Haus"}', { pairs: true })), [
    ['Ein Haus', 'A house'],
  ]);
});

test('a pair with a side that is missing or empty, or with a third column, is malformed', () => {
  const table = parse('tsv', 'a\nb\t\n\tc\nd\te\tf\ng\th', { pairs: true });
  assert.deepEqual(texts(table), [['g', 'h']]);
  assert.deepEqual(
    table.firstMalformed.map(({ problem }) => problem),
    [
      'expected 2 columns (source, tab, target), found 1',
      'the target is empty',
      'the source is empty',
      'expected 2 columns (source, tab, target), found 3',
    ],
  );
  assert.equal(parse('jsonl', '{"source":"a"}', { pairs: true }).malformed, 1);
});

test('lines that are not UTF-8 are left out, in every format', () => {
  const bad = [0x62, 0xff, 0x0a];
  const text = parse('text', [...Buffer.from('aé\n'), ...bad, ...Buffer.from('c')]);
  assert.deepEqual(texts(text), [['aé\nc']]);
  assert.deepEqual(text.firstMalformed, [{ line: 2, problem: 'not UTF-8' }]);
  const lines = parse('tsv', [...Buffer.from('a\tb\n'), 0x61, 0x09, ...bad], { pairs: true });
  assert.deepEqual(texts(lines), [['a', 'b']]);
  assert.equal(lines.malformed, 1);
});

test('a line is held out by the block in which it begins', () => {
  const line = `{"text":"${'x'.repeat(2000)}"}\n`;
  const offset = 3 * HELD_OUT_BLOCK_BYTES + 17;
  const parsed = parse('jsonl', line.repeat(20), { heldOutShare: 0.5, offset });
  // With half held out, every second block is, from block 0 on.
  assert.deepEqual(
    parsed.entries.map((entry) => entry.heldOut),
    Array.from(
      { length: 20 },
      (_, i) => Math.floor((offset + i * line.length) / HELD_OUT_BLOCK_BYTES) % 2 === 0,
    ),
  );
});

test('pairs are held out by a few neighbours: also of some hundred the share is about what was asked for', () => {
  const lines = Array.from(
    { length: 300 },
    (_, i) => `a sentence of a source ${i}\tits translation, ${i}\n`,
  ).join('');
  for (const share of [0.05, 0.2, 0.5]) {
    const { entries } = parse('tsv', lines, { pairs: true, heldOutShare: share });
    const held = entries.filter(({ heldOut }) => heldOut).length / entries.length;
    assert.ok(Math.abs(held - share) < 0.04, `${share}: ${held}`);
  }
});

test('line breaks are counted, so that the lines of the next piece can be numbered', () => {
  assert.equal(parse('text', 'a\nb\nc').lineBreaks, 2);
  assert.equal(parse('text', '\na').lineBreaks, 1);
  assert.equal(parse('tsv', 'a\tb\n', { pairs: true }).lineBreaks, 1);
  assert.equal(parse('text', '').lineBreaks, 0);
});
