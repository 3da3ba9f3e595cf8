// A known shape's calls, made again on a device.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEngine } from '../../../../src/engine/load.js';
import { tinyConfig } from '../../../model/tiny.js';
import {
  assertSameBits,
  batchOf,
  countForwards,
  jobOf,
  trainerOn,
  VOCABULARY,
} from '../../../worker/compute/steps.js';
import { openTestDevice } from './device.js';

const { info } = await openTestDevice();

for (const precision of ['float32', 'bfloat16'] as const)
  test(`other contents of a known shape give the bits that a new shape gives in ${precision} on ${info.name}`, async (context) => {
    const engine = await loadEngine('native', { threads: 1, device: 'cuda:0', precision });
    const model = tinyConfig({ norm: 'pre', activation: 'gelu', dropout: 0.1 });
    assertSameBits(engine, jobOf(model, precision), context, 2); // the second slot's parameters, and a partial sum
  });

test('ids of a known shape are checked before they reach the device', async (context) => {
  const engine = await loadEngine('native', { threads: 1, device: 'cuda:0' });
  const { compute } = trainerOn(engine, jobOf(tinyConfig(), 'float32'));
  const forwards = countForwards(context);
  compute(0, [batchOf(0)]); // parameters are brought there
  const expected = compute(0, [batchOf(0)]);
  const bad = batchOf(1);
  bad.decoderInput[3] = VOCABULARY;
  assert.throws(() => compute(2, [bad]), /^RangeError: element 3 is 23, expected 0 to 22/);
  assert.deepEqual(compute(0, [batchOf(0)]), expected);
  assert.equal(forwards(), 2);
});
