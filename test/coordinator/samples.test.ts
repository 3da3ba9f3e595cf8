// Sample predictions: what is asked, and what the model of a checkpoint answers in its thread.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { questionOf } from '../../src/coordinator/samples/question.js';
import { Sampler } from '../../src/coordinator/samples/sampler.js';
import type { SamplesTask } from '../../src/coordinator/samples/thread.js';
import type { Prediction, TrainingEvent } from '../../src/metrics/events.js';
import { initialParameters } from '../../src/model/initialise.js';
import type { ObjectiveConfig } from '../../src/model/objectives.js';
import { parameterLayout } from '../../src/model/parameters.js';
import { temporaryDirectory } from '../checkpoint/fixture.js';
import { modelConfig, writeDataset, writeRun } from '../cli/model-run.js';

const MASK = 99;
const TEXT = Int32Array.from({ length: 20 }, (_, i) => i);
const tokens: ObjectiveConfig = {
  kind: 'masked',
  rate: 0.2,
  corruption: 'token',
  meanSpan: 3,
  loss: 'hidden',
};

test('of a text every fifth token is hidden at a rate of 0.2, and runs of three at a mean span of 3', () => {
  const hidden = questionOf([TEXT], tokens, MASK);
  assert.deepEqual(
    hidden.source.flatMap((id, i) => (id === MASK ? i : [])),
    [2, 7, 12, 17],
  );
  assert.deepEqual(hidden.target, Array.from(TEXT));
  const { source } = questionOf([TEXT], { ...tokens, corruption: 'span' }, MASK);
  assert.deepEqual(source, [0, 1, 2, 3, 4, 5, 6, MASK, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
});

test('a text is written on from its middle, a pair is translated, and long ones are cut', () => {
  const causal = questionOf([TEXT], { kind: 'causal' }, MASK);
  assert.deepEqual([causal.source.at(-1), causal.target[0]], [9, 10]);
  const pair = questionOf([TEXT, new Int32Array(500)], { kind: 'seq2seq' }, MASK);
  assert.deepEqual([pair.source.length, pair.target.length], [20, 48]);
});

const checkpoint: TrainingEvent = { kind: 'checkpointWritten', step: 3, directory: '', seconds: 1, bytes: 1 };

async function answers(task: SamplesTask): Promise<{ predictions: readonly Prediction[]; told: string[] }> {
  const events: TrainingEvent[] = [];
  const told: string[] = [];
  const sampler = new Sampler(
    task,
    (event) => void events.push(event),
    (message) => void told.push(message),
  );
  sampler.on(checkpoint);
  sampler.on(checkpoint);
  sampler.on({ kind: 'runEnded', reason: 'completed', detail: '' });
  await sampler.close();
  const predicted = events.flatMap((event) => (event.kind === 'predicted' ? event : []));
  assert.ok(predicted.every(({ version }) => version === 3));
  return { predictions: predicted.at(-1)?.predictions ?? [], told };
}

test('the model of a checkpoint fills masks or writes on; where it cannot, that is told once', async (t) => {
  const folder = await temporaryDirectory(t);
  const data = path.join(folder, 'data');
  await writeDataset(data, 100);
  const layout = parameterLayout(modelConfig);
  const flat = new Float32Array(layout.total);
  initialParameters(layout, modelConfig, 1, flat);
  const task = { data, window: 8, precision: 'float32', samples: 2 } as const;
  for (const objective of [tokens, { kind: 'causal' }] as const) {
    const storage = path.join(folder, objective.kind);
    await writeRun(storage, data, objective, flat);
    const { predictions, told } = await answers({ ...task, storage, objective });
    assert.deepEqual([told, predictions.length], [[], 2]);
    const [{ source, prediction, target } = { source: '', prediction: '', target: '' }] = predictions;
    if (objective.kind === 'causal') {
      assert.deepEqual([source, target], ['defg', 'hijk']);
      assert.notEqual(prediction, '');
    } else {
      assert.deepEqual([source, target], ['de<mask>ghij<mask>', 'defghijk']);
      assert.match(prediction, /^de.*ghij/);
    }
    assert.deepEqual((await answers({ ...task, storage, objective, samples: 0 })).predictions, []);
  }
  const storage = path.join(folder, 'causal');
  await rm(path.join(storage, 'checkpoints'), { recursive: true });
  const { predictions, told } = await answers({ ...task, storage, objective: { kind: 'causal' } });
  assert.deepEqual(predictions, []);
  assert.equal(told.length, 1);
  assert.match(told[0]!, /^There are no sample predictions: .*expected a run with a finished checkpoint/);
});
