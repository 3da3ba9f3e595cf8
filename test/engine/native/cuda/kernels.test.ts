// The CUDA device's kernels against the naive ones of the host, over the same cases as the host's own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Arithmetic } from '../../../../src/engine/native/addon.js';
import { difference } from '../case.js';
import { cases } from '../cases.js';
import { openTestDevice, overHostArrays } from './device.js';

const { addon, info } = await openTestDevice();
/** float32: products and sums in another order. The others: operands, and what is stored, are rounded. */
const TOLERANCES: Readonly<Record<Arithmetic, number>> = { float32: 1e-4, tf32: 1e-2, bfloat16: 1e-2 };

/** What products take, and how activations are stored, is chosen with the device's operations, not with the call. No layer is without inputs. */
const chosen = cases().filter(
  ({ name, precision = 'float32', stored = 'float32' }) =>
    precision === 'float32' && stored === 'float32' && !name.includes('×0×'),
);

/** The emulation has no TF32: it computes float32 there. */
const arithmetics = (['float32', 'tf32', 'bfloat16'] as const).filter(
  (arithmetic) => arithmetic !== 'tf32' || !info.emulated,
);

for (const arithmetic of arithmetics) {
  describe(`${arithmetic} on ${info.name}`, () => {
    const device = overHostArrays(addon, arithmetic);
    for (const { name, run } of chosen) {
      test(`${name} equals the naive kernel of the host`, () => {
        const expected = run(addon.naive);
        run(device).forEach((got, i) => {
          const apart = difference(got, expected[i]!);
          assert.ok(apart < TOLERANCES[arithmetic], `output ${i} is ${apart} apart`);
        });
      });
    }

    test('results have the same bits when computed again', () => {
      for (const { name, run } of chosen) assert.deepEqual(run(device), run(device), name);
    });
  });
}
