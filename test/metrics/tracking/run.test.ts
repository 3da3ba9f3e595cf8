// A real run, stopped by its number of steps and gone on with, as its trackers saw it.

import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { LockstepProcess } from '../../../bench/support/lockstep-process.js';
import { prepareWords } from '../../support/small-data.js';
import { temporaryDirectory } from '../../support/temporary-directory.js';
import { MlflowServer } from './mlflow-server.js';
import { readEvents } from './read-tfevents.js';

const CONFIG = `
data: ./data
model: { width: 16, heads: 2, feedForward: 32, encoderLayers: 1, decoderLayers: 1, maxLength: 32 }
window: 24
batch: { microBatches: 2, samples: 2 }
evaluate: { every: 2, batches: 1 }
worker: { threads: 1 }
`;

test('TensorBoard and MLflow know every step of a run that was gone on with, once', async (t) => {
  const folder = await temporaryDirectory(t);
  await prepareWords(folder, {
    words: 12_000,
    distinctWords: 101,
    vocabularySize: 500,
    validationShare: 0.2,
  });
  const server = await MlflowServer.start(t);
  await writeFile(path.join(folder, 'run.yaml'), `${CONFIG}tracking: { mlflow: '${server.url}' }\n`);
  for (const steps of [2, 4]) {
    const args = ['train', 'run.yaml', '--workers', '1', '--set', `steps=${steps}`];
    const training = new LockstepProcess(args, { cwd: folder });
    assert.equal(await training.exit(), 0, training.text());
  }

  const directory = path.join(folder, 'runs', 'run', 'tensorboard');
  const files = (await readdir(directory)).sort();
  const events = await Promise.all(
    files.map(async (name) => readEvents(await readFile(path.join(directory, name)))),
  );
  const steps = events.flat().flatMap(({ step, scalars }) => ('train/loss' in scalars ? step : []));
  assert.deepEqual([files.length, steps], [2, [1, 2, 3, 4]]);
  const asked = events.flat().filter(({ texts }) => 'samples/1' in texts);
  assert.deepEqual(
    asked.map(({ step }) => step),
    [2, 4],
    'the last checkpoint of each is asked about samples',
  );
  assert.match(
    asked[0]!.texts['samples/1']!,
    /^\| \*\*source\*\* \| w.*&#60;mask&#62;.*\n\| \*\*prediction\*\* \| w.*\n\| \*\*target\*\* \| w\d+ w/m,
  );

  assert.deepEqual(server.faults, []);
  const [run] = server.runs;
  const tracked = run!.metrics.filter(({ key }) => key === 'train/loss').map(({ step }) => step);
  assert.deepEqual([server.runs.length, tracked], [1, [1, 2, 3, 4]]);
  assert.deepEqual(run!.statuses, ['FINISHED', 'RUNNING', 'FINISHED']);
  assert.equal(run!.params.find(({ key }) => key === 'model.width')?.value, '16');
});
