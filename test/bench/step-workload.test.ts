import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BASE, linearFlops, linearShapes, SMALL, stepFlops } from '../../bench/support/step-workload.js';

test("a step's FLOP are six for each weight and position, and those of attention", () => {
  // small: 2048 positions on either side; weights by hand: an encoder layer 12 d², a decoder layer 16 d², d · V.
  const weights = 4 * (12 + 16) * 256 ** 2 + 256 * 8192;
  const attention = 12 * 3 * (2 * 2 * 16 * 128 * 128 * 256);
  assert.equal(stepFlops(SMALL), 6 * 2048 * weights + attention);
  assert.equal(Math.round(stepFlops(SMALL) / 1e9), 126);
});

test('attention is a small part of either workload: the rate of linear products is a ceiling of both', () => {
  for (const workload of [SMALL, BASE]) {
    const linear = linearShapes(workload).reduce((sum, shape) => sum + linearFlops(shape), 0);
    assert.ok(linear / stepFlops(workload) > 0.9, workload.name);
  }
});
