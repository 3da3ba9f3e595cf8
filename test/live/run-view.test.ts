import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyView, fold, viewedKinds, type RunView } from '../../src/live/run-view.js';
import type { TrainingEvent } from '../../src/metrics/events.js';
import { committed, evaluated, everyKind, runStarted, skipped, workerStatus } from '../metrics/events.js';

/** Folds events that happen a second apart. */
function viewOf(events: readonly TrainingEvent[], view: RunView = emptyView): RunView {
  return events.reduce((folded, event, i) => fold(folded, { ...event, time: 1000 + i }), view);
}

const steps = (count: number): TrainingEvent[] => Array.from({ length: count }, (_, step) => committed(step));

test('the view survives JSON, whatever has happened', () => {
  const view = viewOf([...everyKind, { ...evaluated(3), loss: NaN }]);
  assert.deepEqual(
    viewOf([committed(5)], JSON.parse(JSON.stringify(view)) as RunView).loss,
    viewOf([committed(5)], view).loss,
  );
});

test('events that the view is not folded from change nothing in it', () => {
  const others = everyKind.filter(({ kind }) => !(viewedKinds as readonly string[]).includes(kind));
  assert.ok(others.length > 5);
  for (const event of others) assert.deepEqual(fold(emptyView, { ...event, time: 0 }), emptyView);
});

test('the time left is that of the steps left, at the pace of this coordinator', () => {
  const view = viewOf([{ ...runStarted, steps: 100 }, ...steps(10), skipped(10)]);
  assert.equal(view.version, 11);
  assert.equal(Math.round(view.etaSeconds!), 89);
});

test('a run that stops after the step at hand says so, and not how long all steps would take', () => {
  const stopping = viewOf([runStarted, ...steps(10), { kind: 'stopping' }, committed(10)]);
  assert.deepEqual([stopping.stopping, stopping.etaSeconds], [true, null]);
  const ended = viewOf([{ kind: 'runEnded', reason: 'stopped', detail: '' }], stopping);
  assert.deepEqual([ended.stopping, ended.etaSeconds], [false, null]);
  const again = viewOf([{ ...runStarted, version: 11 }, ...steps(20).slice(11)], stopping);
  assert.ok(!again.stopping && again.etaSeconds !== null);
});

test('who goes on with a run starts with its curves, and with nobody', () => {
  const before = viewOf([runStarted, ...steps(20), { kind: 'workers', workers: [workerStatus({})] }]);
  const view = viewOf([{ ...runStarted, term: 2, version: 20 }], before);
  assert.equal(view.loss.steps.length, 20);
  assert.deepEqual(view.workers, []);
  assert.equal(view.etaSeconds, null);
  assert.match(view.events.at(-1)!.text, /started again at step 20 \(term 2\)/);
});

test("a worker's shares are those of the time between its reports", () => {
  const report = (phaseSeconds: Parameters<typeof workerStatus>[0]['phaseSeconds']): TrainingEvent => ({
    kind: 'workers',
    workers: [workerStatus({ ...(phaseSeconds && { phaseSeconds }) })],
  });
  const first = viewOf([report({ compute: 50, push: 0, pull: 0, idle: 50 })]);
  assert.equal(first.workers[0]!.shares, null);
  const second = viewOf([report({ compute: 50.75, push: 0.25, pull: 0, idle: 50 })], first);
  assert.deepEqual(second.workers[0]!.shares, { compute: 0.75, push: 0.25, pull: 0, idle: 0 });
  assert.equal(second.workers[0]!.lastHeard, 1000 - 0.2);
});

test('a name cannot steer a terminal', () => {
  const view = viewOf([{ kind: 'workerJoined', worker: '\x1b[2Jevil\n', host: 'a\u202eb' }]);
  assert.equal(view.events[0]!.text, ' [2Jevil  on a b joined');
});

test('only the last events are kept', () => {
  const view = viewOf(Array.from({ length: 500 }, (_, i) => evaluated(i)));
  assert.equal(view.events.length, 100);
  assert.match(view.events.at(-1)!.text, /^Step 499:/);
});

test('the last that is told of a completed run is that it is, although its last model is asked afterwards', () => {
  const view = viewOf([
    runStarted,
    { kind: 'runEnded', reason: 'completed', detail: '' },
    { kind: 'lastPredictionsAwaited', mostSeconds: 10 },
    { kind: 'predicted', version: 4, predictions: [] },
  ]);
  assert.equal(view.events.at(-1)!.text, 'Training completed');
});
