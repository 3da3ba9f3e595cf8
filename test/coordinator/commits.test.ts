// When a step is committed and with which numbers, and when it is skipped or computed again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Driver, OPTIONS, STATS } from './driver.js';

const clipped = { ...OPTIONS.optimizer, clipNorm: 1 };

test('a step is committed only when all reducers have all of it and its losses are known', () => {
  const run = new Driver();
  run.join('a');
  const [lease] = run.leases as [(typeof run.leases)[0]];
  const leaves = [0, 1, 2, 3, 4, 5, 6, 7];
  run.say({ type: 'covered', step: 0, round: 0, leaves });
  run.roots();
  run.computed(lease);
  assert.equal(run.every('commit').length, 0, 'one reducer has not covered it');
  run.say({ type: 'covered', step: 0, round: 0, leaves });
  assert.deepEqual(
    run.every('commit').map(({ step }) => step),
    [0],
  );
  assert.equal(run.last('begin')!.step, 1);
});

test('a reducer that has not told its root holds the commit up', () => {
  const run = new Driver();
  run.join('a');
  const [lease] = run.leases as [(typeof run.leases)[0]];
  run.computed(lease);
  run.covered(lease.node);
  run.say({ type: 'root', reducer: 0, step: 0, round: 0, nonFinite: null, blockSums: Float64Array.of(1) });
  run.say({ type: 'root', reducer: 0, step: 0, round: 0, nonFinite: null, blockSums: Float64Array.of(1) });
  assert.equal(run.every('commit').length, 0);
  run.say({ type: 'root', reducer: 1, step: 0, round: 0, nonFinite: null, blockSums: Float64Array.of(1) });
  assert.equal(run.every('commit').length, 1);
});

test('the gradient is scaled to the mean over tokens and clipped by its norm over all reducers', () => {
  const run = new Driver({ optimizer: clipped });
  run.join('a');
  run.finishStep({ ...STATS, tokens: 2 }, [[64, 64], [128]]);
  const update = run.last('commit')!.update!;
  const norm = Math.sqrt(256) / 16;
  assert.equal(update.gradientScale, Math.min(1, 1 / (norm + 1e-6)) / 16);
  assert.equal(update.learningRate, 0.5);
});

test('block sums are added reducer by reducer, whoever was first', () => {
  const sums = [
    [1e16, 1],
    [1, 1],
  ] as const;
  const [inOrder, reversed] = [
    [0, 1],
    [1, 0],
  ].map((order) => {
    const run = new Driver({ optimizer: clipped });
    run.join('a');
    const [lease] = run.leases as [(typeof run.leases)[0]];
    run.computed(lease);
    run.covered(lease.node);
    for (const reducer of order) {
      run.say({
        type: 'root',
        reducer,
        step: 0,
        round: 0,
        nonFinite: null,
        blockSums: Float64Array.from(sums[reducer]!),
      });
    }
    return run.last('commit')!.update!.gradientScale;
  });
  assert.equal(inOrder, reversed);
});

test('a step without target tokens is skipped: the version grows, the count of updates does not', () => {
  const run = new Driver();
  run.join('a');
  run.finishStep({ ...STATS, tokens: 0, correct: 0 });
  assert.equal(run.last('commit')!.update, null);
  assert.deepEqual(
    { ...run.machine.state.progress, fingerprint: null, best: null },
    {
      version: 1,
      updates: 0,
      tokens: 0,
      fingerprint: null,
      best: null,
      expelled: [],
    },
  );
  assert.equal(run.last('begin')!.step, 1);
});

test('a sum that is not finite is computed a second time before anything is decided', () => {
  const run = new Driver();
  run.join('a');
  run.finishStep(STATS, [[NaN]]);
  assert.equal(run.every('commit').length, 0);
  assert.deepEqual(run.last('begin'), { type: 'begin', step: 0, round: 1, examine: true });
  assert.equal(run.leases[0]!.node.round, 1);
});

test('a second computation that is finite is committed', () => {
  const run = new Driver();
  run.join('a');
  run.finishStep(STATS, [[Infinity]]);
  run.finishStep(STATS, [[1]], 1);
  assert.ok(run.last('commit')!.update);
  assert.deepEqual(run.last('begin'), { type: 'begin', step: 1, round: 0, examine: false });
});

test('a second computation that is not finite either is a skip', () => {
  const run = new Driver();
  run.join('a');
  run.finishStep(STATS, [[1], [NaN]]);
  run.finishStep(STATS, [[1], [NaN]], 1);
  assert.equal(run.last('commit')!.update, null);
  assert.equal(run.machine.state.progress.updates, 0);
  assert.equal(run.machine.state.progress.version, 1);
});

test('what the first computation sends late does not count for the second', () => {
  const run = new Driver();
  run.join('a');
  const first = run.leases[0]!;
  run.finishStep(STATS, [[NaN]]);
  run.computed(first);
  run.covered(first.node);
  run.roots();
  assert.equal(run.every('commit').length, 0);
});
