// What a slow worker costs a step, and that equal workers are never second-guessed: steps on a simulated clock.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Sessions } from '../../src/coordinator/sessions.js';
import { sameNodeId } from '../../src/protocol/node-id.js';
import { Driver, type HeldLease } from './driver.js';

interface SimulatedWorker {
  readonly session: string;
  readonly msPerBatch: number;
  busyUntil: number;
  computing: HeldLease | undefined;
}

/** Workers that take so long for a micro-batch compute steps; a recalled lease ends with the micro-batch begun. */
class SimulatedSteps {
  readonly run: Driver;
  private readonly workers: SimulatedWorker[];

  constructor(microBatches: number, msPerBatch: Readonly<Record<string, number>>) {
    this.run = new Driver({ microBatches, heartbeat: { intervalMs: 1000, timeoutMs: 1e9 } });
    this.workers = Object.entries(msPerBatch).map(([session, ms]) => ({
      session,
      msPerBatch: ms,
      busyUntil: 0,
      computing: undefined,
    }));
    this.run.join(...Object.keys(msPerBatch));
  }

  /** How long each of the next steps takes, ms. */
  steps(count: number): number[] {
    return Array.from({ length: count }, () => {
      const { run } = this;
      const startedAt = run.now;
      const { version } = run.machine.state.progress;
      while (run.machine.state.progress.version === version) this.advance();
      return run.now - startedAt;
    });
  }

  private advance(): void {
    const { run } = this;
    for (const worker of this.workers) this.begin(worker);
    const next = Math.min(
      run.now + 250,
      ...this.workers.filter(({ computing }) => computing).map(({ busyUntil }) => busyUntil),
    );
    run.now = next;
    for (const worker of this.workers) {
      if (worker.busyUntil <= next) this.finish(worker);
    }
    run.say({ type: 'tick' });
    if (run.leases.every(({ node }) => node.step < run.machine.state.progress.version)) run.roots();
  }

  private begin(worker: SimulatedWorker): void {
    const { session, msPerBatch, computing } = worker;
    const isHeld = this.run.leases.some((lease) => lease === computing);
    if (computing && !isHeld) this.cancel(worker);
    if (worker.computing) return;
    const lease = this.run.leases.find((held) => held.session === session);
    if (!lease) return;
    const [start, end] = this.run.rangeOf(lease)!;
    worker.computing = lease;
    worker.busyUntil = Math.max(worker.busyUntil, this.run.now) + (end - start) * msPerBatch;
  }

  private cancel(worker: SimulatedWorker): void {
    const batchesLeft = Math.floor((worker.busyUntil - this.run.now) / worker.msPerBatch);
    worker.busyUntil -= batchesLeft * worker.msPerBatch;
    worker.computing = undefined;
  }

  private finish(worker: SimulatedWorker): void {
    const { run } = this;
    const { computing } = worker;
    if (!computing) return;
    worker.computing = undefined;
    const isHeld = run.leases.includes(computing);
    run.leases = run.leases.filter((lease) => lease !== computing);
    run.secondsPerBatch = { ...run.secondsPerBatch, [worker.session]: worker.msPerBatch / 1000 };
    run.computed(computing);
    if (isHeld) run.covered(computing.node);
    run.roots();
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

describe('with one of four workers ten times slower, a step takes at most 1.35 times that of the other three', () => {
  for (const microBatches of [12, 16, 24, 48, 64]) {
    test(`of ${microBatches} micro-batches`, () => {
      const healthy = { a: 100, b: 100, c: 100 };
      const three = new SimulatedSteps(microBatches, healthy).steps(12).slice(2);
      const four = new SimulatedSteps(microBatches, { slow: 1000, ...healthy }).steps(12).slice(2);
      const ratio = mean(four) / mean(three);
      assert.ok(ratio <= 1.35, `${mean(four)} ms is ${ratio} of ${mean(three)} ms`);
    });
  }
});

test('what a straggler holds is split among the idle workers, whoever is first wins, and it is recalled', () => {
  const run = new Driver({ microBatches: 16 });
  run.join('slow', 'a', 'b', 'c');
  run.secondsPerBatch = { slow: 1, a: 1, b: 1, c: 1 };
  run.finishStep();
  const held = run.leases.find(({ session }) => session === 'slow')!;
  assert.deepEqual(run.rangeOf(held), [0, 4]);
  run.now += 4000;
  const others = run.leases.filter(({ session }) => session !== 'slow');
  for (const lease of others) {
    run.computed(lease);
    run.covered(lease.node);
  }
  run.leases = [held];
  run.wait(1000, 'slow', 'a', 'b', 'c');
  assert.equal(run.leases.length, 1, 'a second is no reason');
  run.wait(1250, 'slow', 'a', 'b', 'c');
  const parts = run.leases.filter(({ session }) => session !== 'slow');
  assert.deepEqual(
    parts.map((lease) => run.rangeOf(lease)),
    [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
  );
  for (let part = parts.shift(); part; part = run.leases.find(({ session }) => session !== 'slow')) {
    run.leases = run.leases.filter((lease) => lease !== part);
    run.computed(part);
    run.covered(part.node);
  }
  assert.deepEqual(
    run.every('recall').flatMap(({ session, node }) => (sameNodeId(node, held.node) ? [session] : [])),
    ['slow'],
  );
  run.roots();
  assert.equal(run.machine.state.progress.version, 2);
});

describe('a gradient that is computed and has not arrived', () => {
  /** All four workers have computed theirs. */
  function allComputed(): { run: Driver; held: HeldLease[]; names: string[] } {
    const names = ['a', 'b', 'c', 'd'];
    const run = new Driver({ microBatches: 4 });
    run.join(...names);
    run.secondsPerBatch = { a: 1, b: 1, c: 1, d: 1 };
    run.finishStep();
    run.finishStep();
    const held = [...run.leases];
    assert.equal(held.length, 4);
    run.now += 1000;
    run.leases = [];
    for (const lease of held) run.computed(lease);
    return { run, held, names };
  }

  test('is not computed again as long as others arrive, however long it waits', () => {
    const { run, held, names } = allComputed();
    for (const { node } of held.slice(0, 3)) {
      run.wait(750, ...names);
      run.covered(node);
    }
    run.wait(750, ...names);
    assert.equal(run.leases.length, 0, 'it waited for three seconds');
  });

  test('is computed again when nothing has arrived for as long as that takes', () => {
    const { run, held, names } = allComputed();
    for (const { node } of held.slice(0, 3)) run.covered(node);
    run.wait(750, ...names);
    assert.equal(run.leases.length, 0, 'it may be on its way');
    run.wait(500, ...names);
    assert.deepEqual(
      run.leases.map((lease) => run.rangeOf(lease)),
      [run.rangeOf(held[3])],
    );
    assert.notEqual(run.leases[0]!.session, held[3]!.session);
  });
});

test('one worker whose gradients take long does not make anything else wait longer', () => {
  const sessions = new Sessions();
  for (const id of ['a', 'b', 'slow']) {
    sessions.add(id, { name: id, host: 'h', key: null }, 0);
    sessions.admit(sessions.get(id)!, 'f');
    sessions.computed(id, 1, 1);
    sessions.covered(id, id === 'slow' ? 60_000 : 100);
  }
  assert.equal(sessions.expectedMs('a', 1), 1100);
  assert.equal(sessions.expectedMs('slow', 1), 1100, 'it is told by what it does, not by what it did');
});

test('equal workers are never second-guessed, and each is leased once a step', () => {
  const simulated = new SimulatedSteps(8, { a: 100, b: 103 });
  simulated.steps(20);
  const { run } = simulated;
  const duplicated = run.every('event').filter(({ event }) => event.kind === 'leaseDuplicated');
  assert.equal(duplicated.length, 0);
  const ofLater = run.every('lease').filter(({ node }) => node.step > 0 && node.step < 20);
  assert.equal(ofLater.length, 19 * 2);
});

test('a worker whose computation hangs costs a step less and less', () => {
  const simulated = new SimulatedSteps(16, { hung: 1e9, a: 100, b: 100, c: 100 });
  const three = mean(new SimulatedSteps(16, { a: 100, b: 100, c: 100 }).steps(10).slice(2));
  const later = mean(simulated.steps(20).slice(10));
  assert.ok(later <= 1.35 * three, `${later} ms is ${later / three} of ${three} ms`);
});
