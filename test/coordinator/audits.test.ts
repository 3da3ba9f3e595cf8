// Audits: nodes computed by two workers, what becomes of those who differ, and steps whose gradient is not finite.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Audits, isAudited, type Auditor } from '../../src/coordinator/audits.js';
import type { CoordinatorOptions } from '../../src/coordinator/events.js';
import { Driver, STATS, type HeldLease } from './driver.js';

const ALL: Partial<CoordinatorOptions> = {
  microBatches: 2,
  audit: { share: 1, key: 'secret', action: 'expel' },
};

/** A worker computes what it holds, and all reducers receive it. */
function finish(run: Driver, lease: HeldLease, hash = 'right', stats = STATS): void {
  run.leases = run.leases.filter((held) => held !== lease);
  run.computed(lease, stats);
  run.covered(lease.node);
  for (let reducer = 0; reducer < run.options.reducers; reducer++) {
    run.say({ type: 'hashed', reducer, session: lease.session, node: lease.node, hash });
  }
}

/** Everybody computes all that it is leased until nothing is; `wrong` sends other gradients. */
function finishAll(run: Driver, wrong: string | null = null): void {
  for (let lease = run.leases[0]; lease; lease = run.leases[0]) {
    finish(run, lease, lease.session === wrong ? 'wrong' : 'right');
  }
}

test('which nodes are audited depends on a key, and their share is as asked', () => {
  const chosen = (key: string): number[] =>
    Array.from({ length: 5000 }, (_, step) => step).filter((step) =>
      isAudited({ share: 0.1, key }, step, { level: 0, index: 3 }),
    );
  assert.ok(chosen('a').length > 400 && chosen('a').length < 600);
  assert.notDeepEqual(chosen('a'), chosen('b'));
});

function second(run: Driver): void {
  finishAll(run); // the first step begins before there are two to compare
  run.roots();
}

test('a commit waits until two workers have computed each audited node alike', () => {
  const run = new Driver(ALL);
  run.join('a', 'b');
  second(run);
  for (const lease of [...run.leases]) finish(run, lease);
  run.roots();
  assert.equal(
    run.machine.state.progress.version,
    1,
    'all is covered, and each node waits for its second worker',
  );
  finishAll(run);
  assert.equal(run.machine.state.progress.version, 2);
  const ofStep = run.every('lease').filter(({ node, audited }) => node.step === 1 && audited);
  assert.deepEqual(ofStep.map(({ session, node }) => `${session} ${node.index}`).sort(), [
    'a 0',
    'a 1',
    'b 0',
    'b 1',
  ]);
});

test('who differs from two others is expelled, stays away, and the step is computed again without it', () => {
  const run = new Driver(ALL);
  run.join('a', 'b', 'c');
  second(run);
  assert.equal(run.machine.state.progress.version, 1);
  finishAll(run, 'b');
  assert.deepEqual(
    run.every('dismiss').map(({ session, outcome }) => ({ session, outcome })),
    [{ session: 'b', outcome: 'refused' }],
  );
  assert.deepEqual(run.last('begin'), { type: 'begin', step: 1, round: 1, examine: false });
  assert.equal(run.every('commit').length, 1);
  run.say({ type: 'hello', session: 'b2', name: 'b', host: 'here', key: null });
  assert.match(run.last('dismiss')!.reason, /expelled from this run/);
  finishAll(run);
  run.roots([], 1);
  assert.equal(run.machine.state.progress.version, 2);
  assert.deepEqual(run.machine.state.progress.expelled, ['b on here']);
});

test('where workers have keys, who was expelled does not come back under another name, now or after a resume', () => {
  const run = new Driver(ALL);
  const join = (session: string, key: string): void => {
    run.say({ type: 'hello', session, name: session, host: 'here', key });
    run.say({ type: 'ready', session, fingerprint: 'same' });
  };
  for (const session of ['a', 'b', 'c']) join(session, `key of ${session}`);
  second(run);
  finishAll(run, 'b');
  const { expelled } = run.machine.state.progress;
  assert.deepEqual(expelled, ['key of b']);
  join('renamed', 'key of b');
  assert.match(run.last('dismiss')!.reason, /expelled from this run/);
  join('b', 'another key');
  assert.equal(run.last('welcome')!.session, 'b', 'the name is free to others');
  const resumed = new Driver(ALL, { expelled });
  resumed.say({ type: 'hello', session: 'd', name: 'd', host: 'there', key: 'key of b' });
  assert.equal(resumed.last('dismiss')!.session, 'd');
});

test('two workers that differ end the run, which names both', () => {
  const run = new Driver(ALL);
  run.join('a', 'b');
  second(run);
  finishAll(run, 'b');
  assert.equal(run.last('fail')!.code, 'AUDIT_UNDECIDED');
  assert.match(run.last('fail')!.message, /[ab] on here and [ab] on here computed different gradients/);
});

test('with auditAction stop a faulty worker ends the run', () => {
  const run = new Driver({ ...ALL, audit: { share: 1, key: 'secret', action: 'stop' } });
  run.join('a', 'b', 'c');
  second(run);
  finishAll(run, 'b');
  assert.match(run.last('fail')!.message, /wrong results from b on here/);
});

test('losses that differ are found like gradients that do', () => {
  const run = new Driver(ALL);
  run.join('a', 'b');
  second(run);
  for (let lease = run.leases[0]; lease; lease = run.leases[0]) {
    finish(run, lease, 'right', lease.session === 'b' ? { ...STATS, loss: 4 } : STATS);
  }
  assert.equal(run.last('fail')!.code, 'AUDIT_UNDECIDED');
});

test('only workers of equal fingerprint are compared', () => {
  const run = new Driver({ ...ALL, hardware: 'relaxed' });
  run.join('a');
  run.say({ type: 'hello', session: 'b', name: 'b', host: 'here', key: null });
  run.say({ type: 'ready', session: 'b', fingerprint: 'other' });
  second(run);
  assert.ok(run.every('lease').every(({ audited }) => !audited));
});

test('an audit whose second worker has gone is given up when nobody else is here', () => {
  const run = new Driver(ALL);
  run.join('a', 'b');
  second(run);
  run.leave('b');
  finishAll(run);
  run.roots();
  assert.equal(run.machine.state.progress.version, 2);
});

test('after so many skipped steps in a row the run ends, and none of them is saved', () => {
  const run = new Driver({ maxSkips: 2, checkpointEvery: 1 });
  run.join('a');
  for (let step = 0; step < 2; step++) {
    run.finishStep(STATS, [[NaN]]);
    run.finishStep(STATS, [[NaN]], 1);
  }
  assert.equal(run.every('snapshot').length, 0);
  assert.equal(run.last('fail')!.code, 'NOT_FINITE');
  assert.match(run.last('fail')!.message, /2 steps in a row, up to step 1/);
});

test('a skipped step tells when the parameters themselves are not finite', () => {
  const run = new Driver();
  run.join('a');
  run.finishStep(STATS, [[NaN]]);
  for (let lease = run.leases.shift(); lease; lease = run.leases.shift()) {
    run.computed(lease);
    run.covered(lease.node);
  }
  const root = { type: 'root', step: 0, round: 1, blockSums: Float64Array.of(NaN) } as const;
  run.say({ ...root, reducer: 0, nonFinite: { where: 'gradient', microBatch: 0, element: 1 } });
  run.say({ ...root, reducer: 1, nonFinite: { where: 'parameters', microBatch: 0, element: 900 } });
  assert.match(run.every('log').at(-1)!.message, /the parameter parameter900 itself is not finite, twice/);
});

test('a skipped step names the first parameter and micro-batch that are not finite', () => {
  const run = new Driver();
  run.join('a');
  run.finishStep(STATS, [[NaN]]);
  for (let lease = run.leases.shift(); lease; lease = run.leases.shift()) {
    assert.equal(
      run.rangeOf(lease)![1] - run.rangeOf(lease)![0],
      1,
      'each micro-batch is a lease of its own',
    );
    run.computed(lease);
    run.covered(lease.node);
  }
  const root = { type: 'root', step: 0, round: 1, blockSums: Float64Array.of(NaN) } as const;
  run.say({ ...root, reducer: 0, nonFinite: { where: 'gradient', microBatch: 5, element: 1 } });
  run.say({ ...root, reducer: 1, nonFinite: { where: 'gradient', microBatch: 3, element: 900 } });
  const { message } = run.every('log').at(-1)!;
  assert.match(
    message,
    /step 0 is skipped: the gradient of parameter900 in micro-batch 3 is not finite, twice/,
  );
});

test('a worker that comes back under another session does not bear itself out', () => {
  const run = new Driver(ALL);
  run.join('right', 'wrong');
  second(run);
  for (const lease of run.leases.filter(({ session }) => session === 'wrong')) finish(run, lease, 'wrong');
  run.leave('wrong');
  run.joinAs('wrong', 'wrong again');
  finishAll(run, 'wrong again');
  const outcomes = run.every('dismiss').map(({ outcome }) => outcome);
  assert.ok(!outcomes.includes('refused'), 'of two workers that differ nobody knows which is right');
  assert.ok(run.every('dismiss').length > 0, 'the run has ended');
  assert.equal(run.machine.state.progress.version, 1, 'nothing of it is committed');
});

test('in a dispute a worker whose lease was taken back is asked once more, before the run is given up', () => {
  const node = { level: 0, index: 0 };
  const [a, b, late] = ['a', 'b', 'late'].map((name): Auditor => ({
    session: name,
    worker: name,
    fingerprint: 'same',
  })) as [Auditor, Auditor, Auditor];
  const outcomes = (): string[] => audits.takeVerdicts([a, b, late]).map(({ outcome }) => outcome);
  const audits = new Audits(1);
  for (const auditor of [a, b, late]) audits.leased(auditor, node);
  audits.drop(late.session, node);
  for (const [{ session }, hash] of [
    [a, 'one'],
    [b, 'another'],
  ] as const) {
    audits.hashed(session, node, 0, hash);
    audits.computed(session, node, [STATS]);
  }
  assert.deepEqual(outcomes(), [], 'one that could tell is here');
  assert.ok(audits.wanted()[0]!.mayCompute(late));
  audits.leased(late, node);
  audits.drop(late.session, node);
  assert.deepEqual(outcomes(), ['undecided'], 'who does not answer is not asked without end');
});
