// Sample predictions: what is asked, and what the model of a checkpoint answers in its thread.
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { questionOf } from '../../src/coordinator/samples/question.js';
import { Sampler } from '../../src/coordinator/samples/sampler.js';
import type { SamplesTask } from '../../src/coordinator/samples/thread.js';
import type { Prediction, TrainingEvent } from '../../src/metrics/events.js';
import { initialParameters } from '../../src/model/initialise.js';
import type { ObjectiveConfig } from '../../src/model/objectives.js';
import { parameterLayout } from '../../src/model/parameters.js';
import { modelConfig, writeDataset, writeRun } from '../cli/model-run.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

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

interface Told {
  readonly predictions: readonly Prediction[];
  readonly awaitedSeconds: readonly number[];
  readonly failures: readonly string[];
}

/** What is told of two checkpoints of a run that then is complete. */
async function answers(task: SamplesTask, mostSeconds?: number): Promise<Told> {
  const events: TrainingEvent[] = [];
  const failures: string[] = [];
  const sampler = new Sampler(
    task,
    (event) => void events.push(event),
    (message) => void failures.push(message),
    mostSeconds,
  );
  sampler.on(checkpoint);
  sampler.on(checkpoint);
  sampler.on({ kind: 'runEnded', reason: 'completed', detail: '' });
  await sampler.close();
  const predicted = events.flatMap((event) => (event.kind === 'predicted' ? event : []));
  assert.ok(predicted.every(({ version }) => version === 3));
  const awaitedSeconds = events.flatMap((event) =>
    event.kind === 'lastPredictionsAwaited' ? event.mostSeconds : [],
  );
  return { predictions: predicted.at(-1)?.predictions ?? [], awaitedSeconds, failures };
}

/** Of every thread of this process, by its id. */
async function priorities(): Promise<Map<string, number>> {
  const threads = await readdir('/proc/self/task');
  const stats = threads.map(async (id) => {
    const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8').catch(() => null); // it may have ended
    return stat === null ? [] : [[id, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])] as const];
  });
  return new Map((await Promise.all(stats)).flat());
}

/** A run of an untrained model, with one checkpoint. */
async function untrained(folder: string, objective: ObjectiveConfig): Promise<SamplesTask> {
  const data = path.join(folder, 'data');
  await writeDataset(data, 100);
  const layout = parameterLayout(modelConfig);
  const flat = new Float32Array(layout.total);
  initialParameters(layout, modelConfig, 1, flat);
  const storage = path.join(folder, objective.kind);
  await writeRun(storage, data, objective, flat);
  return { storage, data, objective, window: 8, samples: 2 };
}

test('the model of a checkpoint fills masks or writes on; where it cannot, that is told once', async (t) => {
  const folder = await temporaryDirectory(t);
  for (const objective of [tokens, { kind: 'causal' }] as const) {
    const task = await untrained(folder, objective);
    const { predictions, awaitedSeconds, failures } = await answers(task);
    assert.deepEqual([failures, predictions.length, awaitedSeconds], [[], 2, [10]]);
    const [{ source, prediction, target } = { source: '', prediction: '', target: '' }] = predictions;
    if (objective.kind === 'causal') {
      assert.deepEqual([source, target], ['defg', 'hijk']);
      assert.notEqual(prediction, '');
    } else {
      assert.deepEqual([source, target], ['de<mask>ghij<mask>', 'defghijk']);
      assert.match(prediction, /^de.*ghij/);
    }
    const none = await answers({ ...task, samples: 0 });
    assert.deepEqual([none.predictions, none.awaitedSeconds], [[], []]);
  }
  const storage = path.join(folder, 'nothing');
  await mkdir(storage);
  const { predictions, failures } = await answers({ ...(await untrained(folder, tokens)), storage });
  assert.deepEqual([predictions, failures.length], [[], 1]);
  assert.match(failures[0]!, /^There are no sample predictions: /);
});

test('a complete run waits for its last predictions as long as it said and no longer', async (t) => {
  const task = await untrained(await temporaryDirectory(t), tokens);
  const told = await answers(task, 0.001); // in which no thread starts
  assert.deepEqual(told, { predictions: [], awaitedSeconds: [0.001], failures: [] });
});

const skip = process.platform === 'linux' ? false : 'Linux alone has priorities of threads';
test(
  'the thread that asks has the lowest priority, and no other thread loses its own',
  { skip },
  async (t) => {
    const task = await untrained(await temporaryDirectory(t), tokens);
    const before = await priorities();
    const low = new Set<string>();
    let isOver = false;
    const answered = answers(task).finally(() => (isOver = true));
    while (!isOver) for (const [id, priority] of await priorities()) if (priority === 19) low.add(id);
    assert.equal((await answered).predictions.length, 2);
    assert.ok(low.size > 0);
    assert.deepEqual(
      [...low].filter((id) => before.has(id)),
      [],
    );
    const after = await priorities();
    for (const [id, priority] of before) assert.ok([priority, undefined].includes(after.get(id)));
  },
);
