import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configDifferences } from '../../src/config/differences.js';
import { applyOverrides, parseOverride } from '../../src/config/overrides.js';
import { runConfigSchema } from '../../src/config/schema.js';

function config(...overrides: string[]) {
  return runConfigSchema.parse(applyOverrides({ data: '/x' }, overrides.map(parseOverride)));
}

test('what changes the bits forbids to go on, and is named with both values', () => {
  const forbidding = {
    'seed=2': 'seed (1 in the run, 2 now)',
    'model.width=512': 'model.width (256 in the run, 512 now)',
    'objective.rate=0.2': 'objective.rate (0.15 in the run, 0.2 now)',
    'window=64': 'window (128 in the run, 64 now)',
    'batch.microBatches=4': 'batch.microBatches (8 in the run, 4 now)',
    'labelSmoothing=0': 'labelSmoothing (0.1 in the run, 0 now)',
    'optimizer.clipNorm=null': 'optimizer.clipNorm (1 in the run, null now)',
    'wire=bfloat16': 'wire ("float32" in the run, "bfloat16" now)',
  };
  for (const [override, difference] of Object.entries(forbidding)) {
    assert.deepEqual(configDifferences(config(), config(override)), [difference]);
  }
});

test('what changes no bits may change', () => {
  const changed = config(
    'name=other',
    'data=/elsewhere',
    'reducers=3',
    'worker.threads=2',
    'heartbeat.timeoutMs=9000',
    'checkpoint.every=7',
    'evaluate.every=9',
    'hardware=relaxed',
    'tracking.tensorboard=false',
    'objective.meanSpan=5',
    'steps=2000',
  );
  assert.deepEqual(configDifferences(config(), changed), []);
});

test('the number of steps is fixed only where the learning rate depends on it', () => {
  for (const kind of ['cosine', 'linear']) {
    const schedule = `optimizer.schedule.kind=${kind}`;
    const differences = configDifferences(config(schedule), config(schedule, 'steps=2000'));
    assert.deepEqual(differences, ['steps (1000 in the run, 2000 now)']);
  }
  const constant = 'optimizer.schedule.kind=constant';
  assert.deepEqual(configDifferences(config(constant), config(constant, 'steps=2000')), []);
});

test('the window matters only where samples are windows, the span only where spans are hidden', () => {
  const pairs = 'objective={kind: seq2seq}';
  assert.deepEqual(configDifferences(config(pairs), config(pairs, 'window=64')), []);
  const spans = 'objective.corruption=span';
  assert.equal(configDifferences(config(spans), config(spans, 'objective.meanSpan=5')).length, 1);
});

test('another kind of objective lists the keys of both', () => {
  const differences = configDifferences(config(), config('objective={kind: causal}'));
  assert.equal(differences[0], 'objective.kind ("masked" in the run, "causal" now)');
  assert.ok(differences.includes('objective.rate (0.15 in the run, nothing now)'));
});
