import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { byteLevelAlphabet, byteLevelPreTokenizer } from 'tokenizers';
import {
  BYTE_CHARACTERS,
  BYTE_ORDER,
  spellBytes,
  splitWords,
  tokenSplitter,
} from '../../src/data/byte-level.js';

const engine = byteLevelPreTokenizer(false, true);

function assertSameWords(text: string): void {
  const theirs = engine.preTokenizeString(text).map(([word]) => word);
  assert.deepEqual(splitWords(text).map(spellBytes), theirs, JSON.stringify(text));
}

test('the byte alphabet is the engine’s, in the order of its characters', () => {
  assert.deepEqual([...BYTE_CHARACTERS], byteLevelAlphabet().sort());
  assert.deepEqual(
    [...BYTE_ORDER].sort((a, b) => a - b),
    Array.from({ length: 256 }, (_, byte) => byte),
  );
});

test('words are cut where the engine cuts them', () => {
  // White space that differs between JavaScript and Unicode is among these.
  const parts = fc.constantFrom(
    ...[' ', '  ', '\n', '\r\n', '\t', '\u0085', '\ufeff', '\u00a0', '\u3000', '\u180e', '\u200b', '\u2028'],
    ...["'s", "'re", "'", 'a', 'Zz', 'é', '中', '١', '½', '1', '!', '…', '😀', '<', '_'],
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 14 }), (list) => assertSameWords(list.join(''))),
    { numRuns: 1000 },
  );
});

test('words put together are the text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) =>
      assert.equal(splitWords(text).join(''), text),
    ),
  );
});

test('a text is cut at special tokens, the longest first', () => {
  const split = tokenSplitter(['<a', '<a>', '</s>', '$.*']);
  assert.deepEqual(split('x<a>y<a</s>$.*'), ['x', '<a>', 'y', '<a', '', '</s>', '', '$.*', '']);
  assert.deepEqual(tokenSplitter([])('x'), ['x']);
});
