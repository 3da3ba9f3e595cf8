import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { trainBpe, type Merge } from '../../src/data/bpe.js';
import { BYTE_ORDER } from '../../src/data/byte-level.js';

type Words = readonly (readonly [string, number])[];

/** The definition: count all pairs anew for every merge. */
function trainNaively(words: Words, merges: number, minimumCount: number): Merge[] {
  const corpus = words.map(([word, count]) => ({
    symbols: Array.from(Buffer.from(word), (byte) => BYTE_ORDER.indexOf(byte)),
    count,
  }));
  const learned: Merge[] = [];
  while (learned.length < merges) {
    const counts = new Map<string, number>();
    for (const { symbols, count } of corpus) {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const pair = `${symbols[i]} ${symbols[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + count);
      }
    }
    const best = [...counts]
      .map(([pair, count]) => ({ pair: pair.split(' ').map(Number) as [number, number], count }))
      .filter(({ count }) => count >= minimumCount)
      .sort((a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1])[0];
    if (best === undefined) break;
    const [left, right] = best.pair;
    const merged = 256 + learned.length;
    for (const word of corpus) {
      const symbols: number[] = [];
      for (let i = 0; i < word.symbols.length; i++) {
        const pair = word.symbols[i] === left && word.symbols[i + 1] === right;
        symbols.push(pair ? merged : word.symbols[i]!);
        if (pair) i++;
      }
      word.symbols = symbols;
    }
    learned.push(best.pair);
  }
  return learned;
}

test('merges are those of the plain algorithm', async () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é'), minLength: 1, maxLength: 12 });
  const words = fc.uniqueArray(fc.tuple(word, fc.integer({ min: 1, max: 5 })), {
    selector: ([text]) => text,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(words, fc.integer({ min: 0, max: 40 }), async (list, merges) => {
      const found = await trainBpe(list, { merges, minimumCount: 2 });
      assert.deepEqual(found, trainNaively(list, merges, 2));
    }),
    { numRuns: 150 },
  );
});

test('runs of one letter merge from the left, and their counts stay exact', async () => {
  const words: Words = [
    ['aaaaaaa', 3],
    ['aab', 2],
    ['baaaa', 1],
  ];
  assert.deepEqual(await trainBpe(words, { merges: 20, minimumCount: 1 }), trainNaively(words, 20, 1));
});

test('no two merges spell the same token', async () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(word, { maxLength: 8 }), async (list) => {
      const words = list.map((text, i): [string, number] => [text, 1 + (i % 3)]);
      const tokens = BYTE_ORDER.map((byte) => String.fromCharCode(byte));
      for (const [left, right] of await trainBpe(words, { merges: 100, minimumCount: 1 })) {
        tokens.push(tokens[left]! + tokens[right]!);
      }
      assert.equal(new Set(tokens).size, tokens.length);
    }),
  );
});

test('the order of the words does not matter', async () => {
  const words: [string, number][] = ['low', 'lower', 'newest', 'widest', 'slow', 'new'].map((word, i) => [
    word,
    i + 2,
  ]);
  const options = { merges: 30, minimumCount: 2 };
  assert.deepEqual(await trainBpe([...words].reverse(), options), await trainBpe(words, options));
});

test('of pairs with equal counts the one with the smaller symbols is merged first', async () => {
  const rank = (character: string): number => BYTE_ORDER.indexOf(character.charCodeAt(0));
  const merges = await trainBpe(
    [
      ['zx', 5],
      ['ab', 5],
      ['aa', 5],
    ],
    { merges: 3, minimumCount: 2 },
  );
  assert.deepEqual(merges, [
    [rank('a'), rank('a')],
    [rank('a'), rank('b')],
    [rank('z'), rank('x')],
  ]);
});

test('a pair below the least count is never merged', async () => {
  assert.deepEqual(await trainBpe([['abc', 1]], { merges: 5, minimumCount: 2 }), []);
});
