import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WordCounts } from '../../src/data/word-counts.js';

test('counts are added, and beyond the bound the rarest words are forgotten', () => {
  const counts = new WordCounts(4);
  counts.merge(new Map([['a', 5], ['b', 1]])); // prettier-ignore
  counts.merge(new Map([['a', 2], ['c', 3], ['d', 1]])); // prettier-ignore
  assert.deepEqual([...counts.entries()], [['a', 7], ['b', 1], ['c', 3], ['d', 1]]); // prettier-ignore
  counts.merge(new Map([['e', 2]]));
  assert.deepEqual([...counts.entries()], [['a', 7], ['c', 3]]); // prettier-ignore
});
