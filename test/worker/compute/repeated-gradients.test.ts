// Micro-batches of a shape that was met before are computed by the calls of then, and nobody can tell.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEngine } from '../../../src/engine/load.js';
import type { ModelConfig } from '../../../src/model/config.js';
import type { Job } from '../../../src/protocol/job.js';
import { tinyConfig } from '../../model/tiny.js';
import { assertSameBits, batchOf, countForwards, jobOf, trainerOn, VOCABULARY } from './steps.js';

const configs: readonly [Partial<ModelConfig>, Job['precision']][] = [
  [{ norm: 'post', activation: 'relu', dropout: 0.1 }, 'float32'],
  [{ norm: 'pre', activation: 'gelu', dropout: 0.1 }, 'bfloat16'],
  [{ norm: 'pre', activation: 'swish', dropout: 0 }, 'bfloat16'],
];
for (const [changes, precision] of configs) {
  const name = Object.values(changes).join(' ');
  test(`other contents of a known shape give the bits that a new shape gives (${name}, ${precision})`, async (context) => {
    const engine = await loadEngine('native', { threads: 2, precision, emulate: true });
    assertSameBits(engine, jobOf(tinyConfig(changes), precision), context);
  });
}

test('an id outside the vocabulary is refused with a known shape as with a new one, and the next batch is computed', async (context) => {
  const engine = await loadEngine('native', { threads: 1 });
  const { compute } = trainerOn(engine, jobOf(tinyConfig(), 'float32'));
  const forwards = countForwards(context);
  const expected = compute(0, [batchOf(0)]);
  const bad = batchOf(1);
  bad.decoderInput[3] = VOCABULARY;
  assert.throws(() => compute(2, [bad]), /^RangeError: ids: element 3 is 23, expected 0 to 22/);
  assert.deepEqual(compute(0, [batchOf(0)]), expected);
  assert.equal(forwards(), 1);
});

test('a fault falsifies the gradient of a known shape', async () => {
  const engine = await loadEngine('native', { threads: 1 });
  const job = jobOf(tinyConfig(), 'float32');
  const [sound, faulty] = [trainerOn(engine, job), trainerOn(engine, job, { kind: 'flip', step: 2 })];
  for (const step of [0, 2, 4]) {
    const [, expected] = sound.compute(step, [batchOf(step)]);
    const [, found] = faulty.compute(step, [batchOf(step)]);
    const differing = [...expected.keys()].filter((i) => expected[i] !== found[i]);
    assert.deepEqual(differing, step === 0 ? [] : [0]);
  }
});
