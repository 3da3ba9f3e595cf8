import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { resolveModel, runIdentity } from '../../src/checkpoint/run-directory.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { storeIn, writeCheckpoint } from './fixture.js';

/** Where the model lies that a path stands for. */
async function modelOf(given: string): Promise<string> {
  return (await resolveModel(new DiskFolder(given), { damaged: 'refuse' })).url;
}

test("a run's id is made once, whoever asks first, and differs between runs", async (t) => {
  const directory = await temporaryDirectory(t);
  const run = new DiskFolder(path.join(directory, 'runs', 'a'));
  const ids = await Promise.all(Array.from({ length: 5 }, () => runIdentity(run)));
  ids.push(await runIdentity(new DiskFolder(run.url)));
  assert.equal(new Set(ids.map(({ runId }) => runId)).size, 1);
  const other = await runIdentity(new DiskFolder(path.join(directory, 'runs', 'b')));
  assert.notEqual(other.runId, ids[0]!.runId);
});

test('a run.json that is not ours is a fault that names it', async (t) => {
  const run = new DiskFolder(await temporaryDirectory(t));
  await writeFile(path.join(run.url, 'run.json'), '{"runId": 7}');
  await assert.rejects(runIdentity(run), {
    code: 'RUN_INVALID',
    message: /run\.json does not hold a run's id/,
  });
});

test('a run stands for its newest checkpoint, a model directory for itself, and nothing else for a model', async (t) => {
  const run = await temporaryDirectory(t);
  await assert.rejects(modelOf(run), { code: 'MODEL_NOT_FOUND' });
  const store = await storeIn(run);
  await store.begin(9, 1);
  await assert.rejects(modelOf(run), { code: 'MODEL_NOT_FOUND' });
  await writeCheckpoint(store, 2);
  const { directory } = await writeCheckpoint(store, 10);
  assert.equal(await modelOf(run), directory);
  const copy = path.join(run, 'my-model');
  await cp(directory, copy, { recursive: true });
  assert.equal(await modelOf(copy), copy);
});
