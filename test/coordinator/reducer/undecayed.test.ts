// Which elements AdamW does not let decay.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boundsWithin, undecayedRanges } from '../../../src/coordinator/reducer/undecayed.js';
import type { TensorSpec } from '../../../src/model/parameters.js';

/** Tensors of these sizes, one behind the other; negative: one that does not decay. */
function tensors(...sizes: number[]): TensorSpec[] {
  let offset = 0;
  return sizes.map((signed, i) => {
    const size = Math.abs(signed);
    offset += size;
    return { name: `t${i}`, shape: [size], size, offset: offset - size, decay: signed > 0 };
  });
}

test('neighbours that do not decay are one range, and the frozen tail is none', () => {
  assert.deepEqual(undecayedRanges(tensors(4, -2, -3, 5, -1, -9), 15), [
    { start: 4, end: 9 },
    { start: 14, end: 15 },
  ]);
  assert.deepEqual(undecayedRanges(tensors(4, 5), 9), []);
  assert.deepEqual(undecayedRanges(tensors(-4, -5), 4), [{ start: 0, end: 4 }]);
});

test('bounds are those of the part that lies within, from its beginning', () => {
  const ranges = [
    { start: 2, end: 5 },
    { start: 8, end: 20 },
  ];
  const within = (start: number, end: number): number[] => [...boundsWithin(ranges, start, end)];
  assert.deepEqual(within(0, 30), [2, 5, 8, 20]);
  assert.deepEqual(within(4, 10), [0, 1, 4, 6]);
  assert.deepEqual(within(10, 12), [0, 2]);
  assert.deepEqual(within(5, 8), []);
});
