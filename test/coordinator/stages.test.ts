// Between the steps: evaluations, checkpoints, and how a run ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoordinatorOptions } from '../../src/coordinator/events.js';
import { Driver, STATS } from './driver.js';

const evaluateEach = { every: 1, batches: 3 };

function evaluated(run: Driver, session: string, index: number, loss = 3): void {
  const { version } = run.machine.state.progress;
  run.say({ type: 'evaluated', session, version, index, stats: { ...STATS, loss } });
}

function written(run: Driver): void {
  const version = run.last('snapshot')!.progress.version;
  for (let i = 0; i < run.options.reducers; i++) run.say({ type: 'sliceWritten', version });
}

function published(run: Driver, saved = true): void {
  const version = run.last('publish')!.progress.version;
  run.say({ type: 'checkpointEnded', version, saved });
}

function started(options: Partial<CoordinatorOptions>, ...workers: string[]): Driver {
  const run = new Driver(options);
  run.join(...workers);
  return run;
}

test('an evaluation is a barrier: the next step is leased when all of its micro-batches are known', () => {
  const run = started({ evaluate: evaluateEach }, 'a', 'b');
  run.finishStep();
  assert.deepEqual(
    run.every('evaluate').map(({ session, index }) => `${session}${index}`),
    ['a0', 'b1', 'a2'],
  );
  const before = run.every('lease').length;
  evaluated(run, 'a', 0);
  evaluated(run, 'b', 1);
  assert.equal(run.every('lease').length, before);
  assert.equal(run.last('begin')!.step, 0);
  evaluated(run, 'a', 2);
  assert.equal(run.last('begin')!.step, 1);
  assert.ok(run.every('lease').length > before);
});

test('the mean is over target tokens, and only a better one becomes the best', () => {
  const run = started({ evaluate: evaluateEach }, 'a');
  for (const loss of [4, 6, 2]) {
    run.finishStep();
    for (let index = 0; index < 3; index++) evaluated(run, 'a', index, loss);
  }
  assert.deepEqual(run.machine.state.progress.best, { step: 3, loss: 1 });
});

test('what a lost worker evaluated is evaluated by another', () => {
  const run = started({ evaluate: evaluateEach }, 'a', 'b');
  run.finishStep();
  evaluated(run, 'b', 1);
  run.leave('a');
  const repeated = run.every('evaluate').slice(3);
  assert.deepEqual(
    repeated.map(({ session, index }) => `${session}${index}`),
    ['b0', 'b2'],
  );
  for (const index of [0, 2]) evaluated(run, 'b', index);
  assert.equal(run.last('begin')!.step, 1);
});

test('an evaluation that a worker sits on is given to another, and counted once', () => {
  const run = started({ evaluate: evaluateEach }, 'slow', 'fast');
  run.finishStep();
  evaluated(run, 'fast', 1);
  run.wait(31_000, 'slow', 'fast');
  const repeated = run.every('evaluate').slice(3);
  assert.deepEqual(
    repeated.map(({ session, index }) => `${session}${index}`),
    ['fast0', 'fast2'],
  );
  evaluated(run, 'fast', 0);
  evaluated(run, 'slow', 0);
  assert.equal(run.last('begin')!.step, 0);
  evaluated(run, 'fast', 2);
  assert.equal(run.last('begin')!.step, 1);
});

test('results of another version or from nobody are ignored', () => {
  const run = started({ evaluate: { every: 1, batches: 1 } }, 'a');
  run.finishStep();
  run.say({ type: 'evaluated', session: 'a', version: 0, index: 0, stats: STATS });
  run.say({ type: 'evaluated', session: 'nobody', version: 1, index: 0, stats: STATS });
  assert.equal(run.last('begin')!.step, 0);
});

test('a snapshot is taken of the version that was just committed, before the next step begins', () => {
  const run = started({ checkpointEvery: 2 }, 'a');
  run.finishStep();
  assert.equal(run.every('snapshot').length, 0);
  run.finishStep();
  assert.equal(run.last('snapshot')!.progress.version, 2);
  assert.equal(run.last('begin')!.step, 2);
});

test('a checkpoint is published when all slices are written and its evaluation is known', () => {
  const run = started({ checkpointEvery: 1, evaluate: evaluateEach }, 'a');
  run.finishStep();
  written(run);
  assert.equal(run.every('publish').length, 0);
  for (let index = 0; index < 3; index++) evaluated(run, 'a', index);
  assert.equal(run.last('publish')!.validationLoss, 1.5);
  assert.deepEqual(run.last('publish')!.progress.best, { step: 1, loss: 1.5 });
  assert.equal(run.every('publish').length, 1);
});

test('slices of another version do not publish a checkpoint', () => {
  const run = started({ checkpointEvery: 1 }, 'a');
  run.finishStep();
  for (let i = 0; i < 4; i++) run.say({ type: 'sliceWritten', version: 7 });
  assert.equal(run.every('publish').length, 0);
});

test('a step that is to be saved waits until the checkpoint before it is written', () => {
  const run = started({ checkpointEvery: 1 }, 'a');
  run.finishStep();
  run.finishStep();
  assert.equal(run.machine.state.progress.version, 1);
  written(run);
  published(run);
  assert.equal(run.machine.state.progress.version, 2);
  assert.equal(run.last('snapshot')!.progress.version, 2);
});

test('a run ends after its last step, evaluated and saved', () => {
  const run = started({ steps: 1, evaluate: evaluateEach }, 'a');
  run.finishStep();
  for (let index = 0; index < 3; index++) evaluated(run, 'a', index);
  written(run);
  assert.equal(run.every('finish').length, 0);
  published(run);
  assert.deepEqual(run.last('finish'), { type: 'finish', reason: 'completed', saved: true });
  assert.deepEqual(
    run.every('dismiss').map(({ outcome }) => outcome),
    ['finished'],
  );
});

test('a stop finishes the step, saves, and ends', () => {
  const run = started({}, 'a');
  for (const _ of ['Ctrl-C', 'SIGTERM']) run.say({ type: 'stop' });
  assert.equal(run.every('event').filter(({ event }) => event.kind === 'stopping').length, 1);
  assert.equal(run.every('finish').length, 0);
  run.finishStep();
  assert.equal(run.machine.state.progress.version, 1);
  written(run);
  published(run);
  assert.deepEqual(run.last('finish'), { type: 'finish', reason: 'stopped', saved: true });
});

test('a stop without workers saves the last complete version and ends', () => {
  const run = started({}, 'a');
  run.finishStep();
  run.leave('a');
  run.say({ type: 'stop' });
  assert.equal(run.last('snapshot')!.progress.version, 1);
  written(run);
  published(run);
  assert.equal(run.last('finish')!.reason, 'stopped');
});

test('a stop without workers and with nothing to save ends at once', () => {
  const resumed = new Driver({}, { version: 3 }, true);
  resumed.say({ type: 'stop' });
  assert.deepEqual(resumed.last('finish'), { type: 'finish', reason: 'stopped', saved: true });
});

test('a stop during an evaluation gives it up and saves without a validation loss', () => {
  const run = started({ evaluate: evaluateEach, checkpointEvery: 1 }, 'a');
  run.finishStep();
  written(run);
  run.say({ type: 'stop' });
  assert.equal(run.last('publish')!.validationLoss, null);
  published(run);
  assert.equal(run.last('finish')!.reason, 'stopped');
});

test('a run that ends without having been saved says so', () => {
  const run = started({ steps: 1, evaluate: { every: 1, batches: 0 } }, 'a');
  run.finishStep();
  run.say({ type: 'checkpointEnded', version: 1, saved: false });
  assert.deepEqual(run.last('finish'), { type: 'finish', reason: 'completed', saved: false });
});

test('an older checkpoint that fails while the run ends does not keep the last version from being saved', () => {
  const run = started({ checkpointEvery: 2 }, 'a');
  run.finishStep();
  run.finishStep();
  run.finishStep();
  run.leave('a');
  run.say({ type: 'stop' });
  run.say({ type: 'checkpointEnded', version: 2, saved: false });
  assert.equal(run.last('snapshot')!.progress.version, 3);
});

test('a run that was complete when it was resumed ends with its first tick', () => {
  const run = new Driver({ steps: 3 }, { version: 3 }, true);
  run.say({ type: 'tick' });
  assert.deepEqual(run.last('finish'), { type: 'finish', reason: 'completed', saved: true });
});
