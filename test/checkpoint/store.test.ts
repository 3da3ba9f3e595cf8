import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, readFile, readdir, truncate } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { SafetensorsFile } from '../../src/checkpoint/safetensors.js';
import { verifyCheckpoint } from '../../src/checkpoint/verify.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import {
  fails,
  filled,
  stepsOf,
  layout,
  stateOf,
  storeIn,
  vectors,
  writeCheckpoint,
  writeSlices,
} from './fixture.js';

test('a finished checkpoint is listed, loads with the same bits, and is a Hugging Face directory', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await storeIn(directory);
  assert.deepEqual(await store.list(), []);
  assert.equal(await store.loadLatest(vectors(), fails), null);
  const info = await writeCheckpoint(store, 3, 1.5);
  assert.deepEqual(await store.list(), [info]);
  assert.equal(path.basename(info.directory), 'step-3');
  const into = vectors();
  const loaded = await store.loadLatest(into, fails);
  assert.deepEqual(loaded, { info, state: stateOf(3, 1.5) });
  assert.deepEqual(into, filled(3));
  assert.deepEqual((await readdir(info.directory)).sort(), [
    'config.json',
    'generation_config.json',
    'manifest.json',
    'model.safetensors',
    'optimizer.safetensors',
    'state.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
});

test('optimizer.safetensors holds both moments of each trained tensor by name, and none of a constant one', async (t) => {
  const store = await storeIn(await temporaryDirectory(t));
  const { folder } = await writeCheckpoint(store, 3);
  const file = await SafetensorsFile.open(folder, 'optimizer.safetensors');
  assert.deepEqual(
    [...file.header.tensors.keys()],
    ['exp_avg', 'exp_avg_sq'].flatMap((moment) => [
      `${moment}.model.shared.weight`,
      `${moment}.model.encoder.layers.0.fc1.bias`,
    ]),
  );
  const { moment1, moment2 } = filled(3);
  assert.deepEqual(await file.read('exp_avg.model.encoder.layers.0.fc1.bias'), moment1.slice(12, 17));
  assert.deepEqual(await file.read('exp_avg_sq.model.shared.weight'), moment2.slice(0, 12));
  await file.close();
});

test('the same values give the same bytes, however the slices were cut', async (t) => {
  const bytes: Buffer[][] = [];
  for (const cut of [1, 16]) {
    const store = await storeIn(await temporaryDirectory(t));
    const begun = await store.begin(3, cut);
    await writeSlices(begun, filled(3), cut);
    const { directory } = await store.finish(begun, stateOf(3));
    const names = ['model.safetensors', 'optimizer.safetensors', 'state.json'];
    bytes.push(await Promise.all(names.map((name) => readFile(path.join(directory, name)))));
  }
  assert.deepEqual(bytes[0], bytes[1]);
});

test('slices written by several threads from shared memory all arrive', async (t) => {
  const store = await storeIn(await temporaryDirectory(t));
  const begun = await store.begin(1, 1);
  const { parameters } = filled(1);
  const buffer = new SharedArrayBuffer(parameters.byteLength);
  new Float32Array(buffer).set(parameters);
  const threads = [0, 5, 10, 15].map((first) => {
    const { path: file, dataOffset: offset } = begun.model;
    const workerData = { file, offset, buffer, first, end: Math.min(first + 5, layout.total) };
    return once(new Worker(new URL('./slice-thread.js', import.meta.url), { workerData }), 'exit');
  });
  assert.deepEqual(await Promise.all(threads), [[0], [0], [0], [0]]);
  await store.finish(begun, stateOf(1));
  const into = vectors();
  await store.loadLatest(into, fails);
  assert.deepEqual(into.parameters, parameters);
});

for (const stopAt of ['slices', 'hashing']) {
  test(`a writer killed before the manifest (${stopAt}) leaves no checkpoint, and its rest is removed`, async (t) => {
    const directory = await temporaryDirectory(t);
    const store = await storeIn(directory);
    const first = await writeCheckpoint(store, 1);
    const script = fileURLToPath(new URL('./interrupted-writer.js', import.meta.url));
    const child = spawn(process.execPath, [script, directory, stopAt], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const torn = path.join(directory, 'checkpoints', 'step-2');
    assert.equal((await verifyCheckpoint(new DiskFolder(torn))).status, 'unfinished');
    assert.deepEqual(await store.list(), [first]);
    assert.equal((await store.loadLatest(vectors(), fails))?.info.step, 1);
    assert.deepEqual(await store.removeTorn(), [torn]);
    await assert.rejects(access(torn));
    assert.deepEqual(await store.list(), [first]);
  });
}

test('removing torn checkpoints spares whole ones, damaged ones, and what is not named like a checkpoint', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await storeIn(directory);
  const whole = await writeCheckpoint(store, 1);
  const damaged = await writeCheckpoint(store, 2);
  await truncate(path.join(damaged.directory, 'model.safetensors'), 100);
  const others = ['step-', 'step-3.bak', 'notes'].map((name) => path.join(directory, 'checkpoints', name));
  for (const other of others) await mkdir(other);
  await mkdir(path.join(directory, 'checkpoints', 'step-4'));
  const cut = await writeCheckpoint(store, 5);
  await truncate(path.join(cut.directory, 'manifest.json'), 200);
  const removed = (await store.removeTorn()).map((removedOne) => path.basename(removedOne));
  assert.deepEqual(removed.sort(), ['step-4', 'step-5']);
  for (const kept of [whole.directory, damaged.directory, ...others]) await access(kept);
});

test('finishing deletes what retention does not keep', async (t) => {
  const retention = { keepLast: 2, keepBest: true, keepEvery: 4 };
  const store = await storeIn(await temporaryDirectory(t), { retention });
  const losses = [9, 1, 8, 7, 6, 5, 4];
  for (const [index, loss] of losses.entries()) await writeCheckpoint(store, index + 1, loss);
  assert.deepEqual(await stepsOf(store), [7, 6, 4, 2]);
});

test('a contested term writes only directories that carry its number', async (t) => {
  const store = await storeIn(await temporaryDirectory(t), {
    term: { contested: true, check: () => Promise.resolve() },
  });
  assert.equal(path.basename((await writeCheckpoint(store, 4, null, 6)).directory), 'step-4-term-6');
  assert.deepEqual(await stepsOf(store), [4]);
});

test('a contested owner deletes unfinished checkpoints only once it has finished a newer one', async (t) => {
  const directory = await temporaryDirectory(t);
  const first = await storeIn(directory);
  await writeCheckpoint(first, 1);
  const unfinished = await first.begin(2, 1);
  const second = await storeIn(directory, { term: { contested: true, check: () => Promise.resolve() } });
  assert.deepEqual(await second.removeTorn(), []);
  await writeCheckpoint(second, 2, null, 2);
  await access(unfinished.folder.url);
  await writeCheckpoint(second, 3, null, 2);
  await assert.rejects(access(unfinished.folder.url));
  assert.deepEqual(await stepsOf(second), [3, 2, 1]);
});

test('a superseded owner finishes no checkpoint', async (t) => {
  const check = () => Promise.reject(new Error('superseded'));
  const store = await storeIn(await temporaryDirectory(t), { term: { contested: false, check } });
  await assert.rejects(writeCheckpoint(store, 1), /superseded/);
  assert.deepEqual(await store.list(), []);
});

test('an owner deletes nothing that is newer than what it has just finished', async (t) => {
  const directory = await temporaryDirectory(t);
  const retention = { keepLast: 1, keepBest: false, keepEvery: null };
  const late = await storeIn(directory, { retention });
  const begun = await late.begin(5, 1);
  await writeSlices(begun, filled(5));
  const next = await storeIn(directory);
  for (const step of [4, 6, 7]) await writeCheckpoint(next, step, null, 2);
  await late.finish(begun, stateOf(5));
  assert.deepEqual(await stepsOf(next), [7, 6, 5]);
});

test('a checkpoint that cannot be finished leaves nothing behind', async (t) => {
  const directory = await temporaryDirectory(t);
  const check = (): Promise<void> => Promise.reject(new Error('another took the run over'));
  const store = await storeIn(directory, { term: { contested: false, check } });
  await assert.rejects(writeCheckpoint(store, 1), /another took the run over/);
  assert.deepEqual(await readdir(path.join(directory, 'checkpoints')), []);
});

test('a checkpoint of another model is refused with the tensor that differs', async (t) => {
  const directory = await temporaryDirectory(t);
  await writeCheckpoint(await storeIn(directory), 1);
  const tensors = layout.tensors.map((tensor) =>
    tensor.offset === 0 ? { ...tensor, shape: [3, 4] } : tensor,
  );
  const other = await storeIn(directory, { layout: { ...layout, tensors } });
  await assert.rejects(other.loadLatest(vectors(), fails), {
    code: 'CHECKPOINT_MISMATCH',
    message:
      /expected tensor 0 to be model\.shared\.weight F32 \[3, 4\], got model\.shared\.weight F32 \[4, 3\]/,
  });
});

test('the check of a checkpoint sees its state before a tensor is read, and what it throws is thrown', async (t) => {
  const store = await storeIn(await temporaryDirectory(t));
  await writeCheckpoint(store, 1);
  const into = vectors();
  const refused = store.loadLatest(into, fails, (state) => {
    assert.deepEqual(state, stateOf(1));
    throw new RangeError('the config differs');
  });
  await assert.rejects(refused, RangeError);
  assert.deepEqual(into, vectors());
});
