// The order of samples in an epoch: a keyed permutation of [0, size) that is evaluated at one point in O(1).
// There is no shuffle buffer and no state, so training resumes at any sample without reading what came before.

import { philox, RandomSite } from '../util/philox.js';
import { assert } from '../util/errors.js';

/** The largest `size`: both halves of the Feistel network's domain then have at most 26 bits. */
export const MAX_PERMUTATION_SIZE = 2 ** 52;

// Four rounds of a Feistel network with a random function make a strong pseudo-random permutation (Luby &
// Rackoff 1988) up to about the square root of the domain; eight leave a margin for the small domains met here.
const ROUNDS = 8;

/**
 * Where `index` goes in the permutation of [0, size) that belongs to (seed, epoch): a bijection for every size
 * from 1 to 2^52. `epoch` is a uint32.
 *
 * A balanced Feistel network permutes [0, 4^h), the smallest such domain that holds [0, size); a result outside
 * of [0, size) is permuted again until it falls inside (cycle walking; Black & Rogaway, "Ciphers with arbitrary
 * finite domains", 2002): fewer than four turns on average. The round function is a Philox word.
 */
export function permute(index: number, size: number, seed: number, epoch: number): number {
  assert(Number.isInteger(size) && size >= 1 && size <= MAX_PERMUTATION_SIZE, `permutation of size ${size}`);
  assert(Number.isInteger(index) && index >= 0 && index < size, `index ${index} of a permutation of ${size}`);
  const halfBits = halfBitsFor(size);
  let value = index;
  do value = encipher(value, halfBits, seed, epoch);
  while (value >= size);
  return value;
}

/** The smallest h ≥ 1 with 4^h ≥ size. */
function halfBitsFor(size: number): number {
  let halfBits = 1;
  while (4 ** halfBits < size) halfBits++;
  return halfBits;
}

function encipher(value: number, halfBits: number, seed: number, epoch: number): number {
  const half = 2 ** halfBits;
  const key0 = seed >>> 0;
  const key1 = Math.floor(seed / 2 ** 32) >>> 0;
  const words = new Uint32Array(4);
  let left = Math.floor(value / half);
  let right = value % half;
  for (let round = 0; round < ROUNDS; round++) {
    philox(words, key0, key1, right, RandomSite.shuffle, round, epoch);
    const mixed = (left ^ (words[0]! >>> (32 - halfBits))) >>> 0;
    left = right;
    right = mixed;
  }
  return left * half + right;
}
