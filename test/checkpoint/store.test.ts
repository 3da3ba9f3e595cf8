import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { SafetensorsFile } from '../../src/checkpoint/safetensors.js';
import type { CheckpointStore } from '../../src/checkpoint/store.js';
import { verifyCheckpoint } from '../../src/checkpoint/verify.js';
import {
  filled,
  flipBit,
  layout,
  stateOf,
  storeIn,
  temporaryDirectory,
  vectors,
  writeCheckpoint,
  writeSlices,
} from './fixture.js';

function fails(): never {
  throw new Error('no checkpoint is bad');
}

async function stepsOf(store: CheckpointStore): Promise<number[]> {
  return (await store.list()).map(({ step }) => step);
}

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
  const { directory } = await writeCheckpoint(store, 3);
  const file = await SafetensorsFile.open(path.join(directory, 'optimizer.safetensors'));
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
    assert.equal((await verifyCheckpoint(torn)).status, 'torn');
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

const damages: [what: string, damage: (directory: string) => Promise<void>, named: RegExp][] = [
  [
    'a bit of a weight flipped',
    (d) => flipBit(path.join(d, 'model.safetensors'), 40),
    /model\.safetensors has SHA-256/,
  ],
  [
    'a bit of a moment flipped',
    (d) => flipBit(path.join(d, 'optimizer.safetensors'), 50),
    /optimizer\.safetensors has/,
  ],
  [
    'a byte of the tokenizer changed',
    (d) => flipBit(path.join(d, 'tokenizer.json'), 3),
    /tokenizer\.json has SHA-256/,
  ],
  ['its state changed', (d) => flipBit(path.join(d, 'state.json'), 12), /state\.json has SHA-256/],
];
for (const [what, damage, named] of damages) {
  test(`a checkpoint with ${what} is named as bad, and the one before it is loaded`, async (t) => {
    const store = await storeIn(await temporaryDirectory(t));
    await writeCheckpoint(store, 1);
    const { directory } = await writeCheckpoint(store, 2);
    await damage(directory);
    const verdict = await verifyCheckpoint(directory);
    assert.equal(verdict.status, 'bad');
    assert.match(verdict.problems.join(), named);
    const bad: string[] = [];
    const into = vectors();
    const loaded = await store.loadLatest(into, (info, error) => {
      assert.equal(error.code, 'CHECKPOINT_BAD');
      assert.match(error.message, named);
      bad.push(info.directory);
    });
    assert.deepEqual(bad, [directory]);
    assert.equal(loaded?.state.step, 1);
    assert.deepEqual(into, filled(1));
    await assert.rejects(store.load(directory, vectors()), { code: 'CHECKPOINT_BAD', message: named });
  });
}

test('a checkpoint that lacks a file, or has one of another size, or a changed manifest, is not listed', async (t) => {
  const store = await storeIn(await temporaryDirectory(t));
  const missing = await writeCheckpoint(store, 1);
  const short = await writeCheckpoint(store, 2);
  const changed = await writeCheckpoint(store, 3);
  await rm(path.join(missing.directory, 'tokenizer.json'));
  await truncate(path.join(short.directory, 'optimizer.safetensors'), 100);
  const manifest = path.join(changed.directory, 'manifest.json');
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"term": 1', '"term": 2'));
  assert.deepEqual(await store.list(), []);
  const verdicts = await Promise.all(
    [missing, short, changed].map(({ directory }) => verifyCheckpoint(directory)),
  );
  assert.deepEqual(
    verdicts.map(({ status }) => status),
    ['bad', 'bad', 'bad'],
  );
});

test('a checkpoint of the wrong size is named on the way to an older one, and all being damaged is an error', async (t) => {
  const store = await storeIn(await temporaryDirectory(t));
  const first = await writeCheckpoint(store, 1);
  const second = await writeCheckpoint(store, 2);
  await truncate(path.join(second.directory, 'model.safetensors'), 100);
  const bad: string[] = [];
  const onBad = ({ directory }: { directory: string }, error: Error) => {
    bad.push(directory);
    assert.match(
      error.message,
      /model\.safetensors has \d+ bytes, expected \d+|model\.safetensors has SHA-256/,
    );
  };
  assert.equal((await store.loadLatest(vectors(), onBad))?.info.step, 1);
  assert.deepEqual(bad, [second.directory]);
  await flipBit(path.join(first.directory, 'model.safetensors'), 1);
  await assert.rejects(store.loadLatest(vectors(), onBad), {
    code: 'CHECKPOINTS_ALL_BAD',
    message: /every checkpoint in .*checkpoints is damaged/,
  });
  assert.deepEqual(bad, [second.directory, first.directory]);
});

test('a damaged checkpoint is written anew beside itself, neither loaded nor counted, and then deleted', async (t) => {
  const retention = { keepLast: 1, keepBest: false, keepEvery: null };
  const directory = await temporaryDirectory(t);
  const first = await storeIn(directory);
  await writeCheckpoint(first, 1);
  const { directory: bad } = await writeCheckpoint(first, 3);
  await flipBit(path.join(bad, 'model.safetensors'), 40);

  const second = await storeIn(directory, { retention });
  assert.equal((await second.loadLatest(vectors(), () => {}))?.info.step, 1);
  await writeCheckpoint(second, 2, null, 2);
  assert.deepEqual(await stepsOf(second), [2]);
  const again = await writeCheckpoint(second, 3, null, 2);
  assert.equal(path.basename(again.directory), 'step-3-term-2');
  assert.deepEqual(await readdir(path.join(directory, 'checkpoints')), ['step-3-term-2']);
  const into = vectors();
  assert.equal((await second.loadLatest(into, fails))?.info.term, 2);
  assert.deepEqual(into, filled(3));
});

test('finishing deletes what retention does not keep', async (t) => {
  const retention = { keepLast: 2, keepBest: true, keepEvery: 4 };
  const store = await storeIn(await temporaryDirectory(t), { retention });
  const losses = [9, 1, 8, 7, 6, 5, 4];
  for (const [index, loss] of losses.entries()) await writeCheckpoint(store, index + 1, loss);
  assert.deepEqual(await stepsOf(store), [7, 6, 4, 2]);
});

test('a contested term writes only directories that carry its number', async (t) => {
  const store = await storeIn(await temporaryDirectory(t), { contested: true });
  assert.equal(path.basename((await writeCheckpoint(store, 4, null, 6)).directory), 'step-4-term-6');
  assert.deepEqual(await stepsOf(store), [4]);
});

test('a checkpoint that cannot be finished leaves nothing behind', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await storeIn(directory);
  await rm(path.join(directory, 'tokenizer.json'));
  await assert.rejects(writeCheckpoint(store, 1), { code: 'ENOENT' });
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
