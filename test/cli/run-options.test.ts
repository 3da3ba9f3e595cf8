// What a person is told who asks a training command to stop.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awaitOutcome, type StartedRun } from '../../src/cli/run-options.js';
import { StopSignals } from '../../src/cli/stop-signals.js';

test('who asks a run to stop is told by the display that it finishes its step, and at the end how to go on', async () => {
  const told: string[] = [];
  const stopped = { reason: 'stopped', version: 20, saved: true, checkpoint: null };
  const { promise: done, resolve } = withResolvers();
  const coordinator = { done, stop: () => resolve(stopped) };
  const stopSignals = new StopSignals();
  const started = { run: {}, coordinator, stopSignals } as unknown as StartedRun;
  const outcome = awaitOutcome(started, { log: (text) => told.push(text) }, 'npx lockstep train books.yaml');
  process.emit('SIGINT');
  await assert.rejects(outcome, {
    message: 'Stopped after step 20, saved. To go on: npx lockstep train books.yaml',
  });
  assert.deepEqual(told, ['Finishing the step and saving a checkpoint; Ctrl-C again stops at once.']);
});

function withResolvers(): { promise: Promise<unknown>; resolve: (value: unknown) => void } {
  let resolve!: (value: unknown) => void;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
