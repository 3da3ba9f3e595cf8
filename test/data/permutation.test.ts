import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_PERMUTATION_SIZE, permute } from '../../src/data/permutation.js';

function images(size: number, seed: number, epoch: number): number[] {
  return Array.from({ length: size }, (_, index) => permute(index, size, seed, epoch));
}

function assertBijection(size: number, seed: number, epoch: number): void {
  const seen = new Uint8Array(size);
  for (const image of images(size, seed, epoch)) {
    assert.ok(Number.isInteger(image) && image >= 0 && image < size, `${image} is outside of [0, ${size})`);
    assert.equal(seen[image], 0, `${image} is hit twice (size ${size}, seed ${seed}, epoch ${epoch})`);
    seen[image] = 1;
  }
}

test('the permutation is a bijection for every size from 1 to 300', () => {
  for (let size = 1; size <= 300; size++) assertBijection(size, 7, size % 5);
});

test('the permutation is a bijection for random sizes, seeds and epochs', () => {
  const seed = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const epoch = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), seed, epoch, (size, s, e) => assertBijection(size, s, e)),
    { numRuns: 40 },
  );
});

test('in huge ranges images stay inside and differ from one another', () => {
  const size = fc.integer({ min: 2 ** 31, max: MAX_PERMUTATION_SIZE });
  fc.assert(
    fc.property(size, fc.integer({ min: 0, max: 2 ** 40 }), fc.nat(), (n, from, seed) => {
      const indices = Array.from({ length: 40 }, (_, i) => (from + i * 104729) % n);
      const found = indices.map((index) => permute(index, n, seed, 3));
      assert.ok(found.every((image) => Number.isSafeInteger(image) && image >= 0 && image < n));
      assert.equal(new Set(found).size, new Set(indices).size);
    }),
    { numRuns: 50 },
  );
});

test('seed (both of its words), and epoch change the order', () => {
  const orders = [
    images(50, 1, 0),
    images(50, 2, 0),
    images(50, 1 + 2 ** 32, 0),
    images(50, 1, 1),
    Array.from({ length: 50 }, (_, i) => i),
  ];
  assert.equal(new Set(orders.map((order) => order.join())).size, orders.length);
});

test('each image is equally likely for an index, within five standard deviations', () => {
  const size = 10;
  const trials = 4000;
  const counts = new Uint32Array(size);
  for (let seed = 0; seed < trials; seed++) counts[permute(3, size, seed, 0)]!++;
  const expected = trials / size;
  const deviation = Math.sqrt(expected * (1 - 1 / size));
  for (const count of counts) assert.ok(Math.abs(count - expected) < 5 * deviation, counts.join(' '));
});

test('an index outside of the range is refused', () => {
  assert.throws(() => permute(5, 5, 0, 0), /assertion failed/);
  assert.throws(() => permute(0, 2 ** 52 + 2, 0, 0), /assertion failed/);
});
