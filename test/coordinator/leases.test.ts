// Who computes what: sizes and order of leases, lost, expired and recalled ones.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Driver } from './driver.js';

const ranges = (run: Driver): unknown[] => run.leases.map((lease) => run.rangeOf(lease));

test('one worker is leased the whole step', () => {
  const run = new Driver();
  run.join('a');
  assert.deepEqual(ranges(run), [[0, 8]]);
});

test("a worker's first lease of a step is its part of the step, each further one of what waits", () => {
  const run = new Driver({ microBatches: 24 });
  run.join('a', 'b', 'c');
  run.finishStep();
  const [first] = run.leases;
  run.computed(first!);
  assert.deepEqual(ranges(run), [
    [0, 8],
    [8, 16],
    [16, 24],
  ]);
});

test('a slow worker is leased less than a fast one', () => {
  const run = new Driver({ microBatches: 16 });
  run.join('slow', 'fast');
  run.secondsPerBatch = { slow: 3, fast: 1 };
  for (let step = 0; step < 20; step++) run.finishStep();
  const sizes = { slow: 0, fast: 0 };
  for (const lease of run.leases) {
    const [start, end] = run.rangeOf(lease)!;
    sizes[lease.session as keyof typeof sizes] += end - start;
  }
  assert.deepEqual(sizes, { slow: 4, fast: 10 });
});

test('no lease covers more than 16 micro-batches', () => {
  const run = new Driver({ microBatches: 200 });
  run.join('a');
  assert.deepEqual(ranges(run), [
    [0, 16],
    [16, 32],
  ]);
});

test('leases get smaller as the step runs out', () => {
  const run = new Driver({ microBatches: 16 });
  run.join('a', 'b');
  run.finishStep();
  const sizes: number[] = [];
  for (let lease = run.leases.shift(); lease; lease = run.leases.shift()) {
    const [start, end] = run.rangeOf(lease)!;
    sizes.push(end - start);
    run.computed(lease);
    run.covered(lease.node);
  }
  assert.deepEqual(
    sizes,
    [...sizes].sort((a, b) => b - a),
  );
  assert.equal(
    sizes.reduce((sum, size) => sum + size),
    16,
  );
});

test('a worker holds one computed lease and one more, not a third', () => {
  const run = new Driver({ microBatches: 64 });
  run.join('a');
  const [first, second] = run.leases;
  run.computed(first!);
  run.computed(second!);
  assert.equal(run.every('lease').length, 2);
  run.covered(first!.node);
  assert.equal(run.every('lease').length, 3);
});

test('what a lost worker held is leased before what nobody had', () => {
  const run = new Driver({ microBatches: 64 });
  run.join('a', 'b');
  const lost = run.leases.filter(({ session }) => session === 'a');
  run.leave('a');
  const [held] = run.leases.filter(({ session }) => session === 'b');
  run.computed(held!);
  run.covered(held!.node);
  assert.deepEqual(run.rangeOf(run.leases.at(-1)), run.rangeOf(lost[0]));
});

test('a lost worker whose gradient arrived, but whose losses did not, is replaced', () => {
  const run = new Driver();
  run.join('a');
  run.covered(run.leases[0]!.node);
  run.leave('a');
  run.join('b');
  assert.deepEqual(ranges(run), [[0, 8]]);
  run.computed(run.leases[0]!);
  run.roots();
  assert.equal(run.machine.state.progress.version, 1);
});

test('a lease past its deadline is given to another worker, and the loser is recalled', () => {
  const run = new Driver();
  run.join('slow');
  const node = run.leases[0]!.node;
  run.wait(29_000, 'slow');
  run.join('fast');
  assert.equal(run.leases.length, 1);
  run.wait(2000, 'slow', 'fast');
  const others = run.leases.filter(({ session }) => session === 'fast');
  assert.ok(others.length > 0);
  for (let lease = others.shift(); lease; lease = others.shift()) {
    run.computed(lease);
    run.covered(lease.node);
    others.push(...run.leases.filter((l) => l !== lease && l.session === 'fast' && !others.includes(l)));
    run.leases = run.leases.filter((l) => l !== lease);
  }
  assert.deepEqual(
    run.every('recall').map(({ session, node }) => ({ session, node })),
    [{ session: 'slow', node }],
  );
  run.roots();
  assert.equal(run.machine.state.progress.version, 1);
});

test('a late answer of a worker whose lease expired completes it, and the second attempt is recalled', () => {
  const run = new Driver({ microBatches: 1 });
  run.join('slow', 'fast');
  run.wait(31_000, 'slow', 'fast');
  const [late, second] = run.leases;
  assert.equal(second!.session, 'fast');
  run.computed(late!);
  run.covered(late!.node);
  assert.equal(run.last('recall')!.session, 'fast');
  run.roots();
  assert.equal(run.machine.state.progress.version, 1);
});

test('when nothing is covered and everybody is full, the rightmost lease makes room for the leftmost node', () => {
  const run = new Driver({ microBatches: 64 });
  run.join('a', 'b');
  run.leave('a');
  for (const lease of run.leases) run.computed(lease);
  const rightmost = run.leases.reduce((x, y) => (run.rangeOf(x)![0] > run.rangeOf(y)![0] ? x : y));
  run.wait(2500, 'b');
  assert.deepEqual(
    run.every('recall').map(({ node }) => node),
    [rightmost.node],
    'once',
  );
  assert.equal(run.rangeOf(run.leases.at(-1))![0], 0);
});

test('losses for another step, another round, from nobody or for no node change nothing', () => {
  const run = new Driver({}, { version: 5 });
  run.join('a');
  const [{ node }] = run.leases as [(typeof run.leases)[0]];
  const before = run.machine.state.progress;
  run.computed({ session: 'a', node: { ...node, step: 4 } });
  run.computed({ session: 'a', node: { ...node, step: 6 } });
  run.computed({ session: 'a', node: { ...node, round: 1 } });
  run.computed({ session: 'nobody', node });
  run.say({ type: 'computed', session: 'a', node: { ...node, level: 9 }, stats: [], seconds: 1 });
  run.covered({ ...node, step: 4 });
  run.covered(node);
  run.roots();
  assert.deepEqual(run.machine.state.progress, before);
  assert.equal(run.every('commit').length, 0);
  assert.equal(run.every('dismiss').length, 0);
});

test('a worker whose losses are not those of its node is dismissed', () => {
  const run = new Driver();
  run.join('a');
  run.say({ type: 'computed', session: 'a', node: run.leases[0]!.node, stats: [], seconds: 1 });
  assert.deepEqual(
    run.every('dismiss').map(({ session, outcome }) => ({ session, outcome })),
    [{ session: 'a', outcome: 'refused' }],
  );
});

test('a worker that sends losses of a node it was never leased is dismissed, and they count for nothing', () => {
  const run = new Driver({ microBatches: 8 });
  run.join('a');
  const held = { node: { ...run.leases[0]!.node, level: 0, index: 7 } };
  run.computed({ session: 'a', node: held.node });
  assert.deepEqual(
    run.every('dismiss').map(({ session }) => session),
    ['a'],
  );
  run.covered({ ...held.node, level: 3, index: 0 });
  run.roots();
  assert.equal(run.every('commit').length, 0);
});

test('losses of a lease that was given to another, too, still count', () => {
  const run = new Driver({ microBatches: 1, heartbeat: { intervalMs: 1000, timeoutMs: 1e9 } });
  run.join('slow', 'other');
  const [late] = run.leases;
  run.wait(400_000, 'slow', 'other');
  assert.ok(run.leases.some(({ session, node }) => session === 'other' && node.level === late!.node.level));
  run.computed(late!);
  assert.equal(run.every('dismiss').length, 0);
  run.covered(late!.node);
  run.roots();
  assert.equal(run.every('commit').length, 1);
});

test('one lease that took very long does not put off the deadlines of those after it', () => {
  const run = new Driver({ microBatches: 1, heartbeat: { intervalMs: 1000, timeoutMs: 1e9 } });
  run.join('a');
  for (let step = 0; step < 3; step++) {
    run.now += step === 1 ? 1_000_000 : 1000;
    run.finishStep();
  }
  run.join('b');
  run.wait(31_000, 'a', 'b');
  assert.equal(run.leases.at(-1)!.session, 'b');
});
