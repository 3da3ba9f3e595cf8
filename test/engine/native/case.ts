// What a case of cases.ts is, the numbers that cases are made of, and how far results may be apart.
import assert from 'node:assert/strict';
import type { DropoutSpec, Kernels, PrecisionCode } from '../../../src/engine/native/addon.js';
import { RandomField } from '../../../src/util/philox.js';
import type { Format } from './formats.js';

export interface Case {
  readonly name: string;
  /** Whether a product by the matmul library is part of it (bits may then differ between its instruction sets). */
  readonly matmul: boolean;
  /** Of the case's products, where it has any that can differ. */
  readonly precision?: keyof typeof PrecisionCode;
  /** How its activations are stored, where that is not float32: a device knows the format of its own. */
  readonly stored?: Format;
  /** How far the naive kernel's results may be, relative to the largest value, of all outputs or of each; default 2e-5. */
  readonly tolerance?: number | readonly number[];
  readonly run: (kernels: Kernels) => Float32Array[];
}

/** Uniform in [-scale, scale). */
export function randoms(count: number, site: number, scale = 1): Float32Array {
  const field = new RandomField({ seed: 7, step: 0, microBatch: 0, site });
  return Float32Array.from({ length: count }, (_, i) => (field.uniform(i) * 2 - 1) * scale);
}

export function integers(count: number, site: number, bound: number): Int32Array {
  const field = new RandomField({ seed: 7, step: 0, microBatch: 0, site });
  return Int32Array.from({ length: count }, (_, i) => field.integer(i, bound));
}

/** Asserts that each output is within the case's tolerance of what is expected. */
export function assertWithin(
  { name, tolerance = EXACT }: Case,
  got: readonly Float32Array[],
  expected: readonly Float32Array[],
): void {
  assert.equal(got.length, expected.length, name);
  got.forEach((output, i) => {
    const most = typeof tolerance === 'number' ? tolerance : tolerance[i]!;
    const apart = difference(output, expected[i]!);
    assert.ok(apart < most, `${name}: output ${i} is ${apart} apart, expected less than ${most}`);
  });
}

/** The largest difference, relative to the largest value expected; differing NaN or Infinity count as Infinity. */
export function difference(got: Float32Array, expected: Float32Array): number {
  assert.equal(got.length, expected.length);
  let largest = 0;
  let size = 1e-6;
  expected.forEach((value, i) => {
    size = Math.max(size, Math.abs(value));
    const apart = Math.abs(got[i]! - value);
    largest = Math.max(largest, Number.isNaN(apart) ? Infinity : apart);
  });
  return largest / size;
}

export const noDropout: DropoutSpec = { rate: 0, site: 0, key: { seed: 0, step: 0, microBatch: 0 } };
export const dropout: DropoutSpec = {
  rate: 0.3,
  site: 17,
  key: { seed: 2 ** 40 + 5, step: 9, microBatch: 3 },
};

/**
 * Where an operand of bfloat16 is computed, not given, it may be rounded to the neighbour of what the naive kernel rounds
 * it to: 2^-8 relative for one term of a sum.
 */
export const ROUNDED_TWICE = 4e-3;
export const EXACT = 2e-5;
/** Results that are stored as bfloat16 may be neighbours: 2^-7 relative for those just above a power of two. */
export const STORED_ROUNDED = 8e-3;
