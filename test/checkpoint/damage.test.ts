import assert from 'node:assert/strict';
import { readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { loadCheckpoint } from '../../src/checkpoint/load.js';
import { resolveModel } from '../../src/checkpoint/run-directory.js';
import { verifyCheckpoint } from '../../src/checkpoint/verify.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { fails, filled, flipBit, layout, stepsOf, storeIn, vectors, writeCheckpoint } from './fixture.js';

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
    const { folder, directory } = await writeCheckpoint(store, 2);
    await damage(directory);
    const verdict = await verifyCheckpoint(folder);
    assert.equal(verdict.status, 'damaged');
    assert.match(verdict.problems.join(), named);
    const bad: string[] = [];
    const into = vectors();
    const loaded = await store.loadLatest(into, (found, error) => {
      assert.equal(error.code, 'CHECKPOINT_BAD');
      assert.match(error.message, named);
      bad.push(found);
    });
    assert.deepEqual(bad, [directory]);
    assert.equal(loaded?.state.step, 1);
    assert.deepEqual(into, filled(1));
    await assert.rejects(loadCheckpoint(folder, layout, vectors()), {
      code: 'CHECKPOINT_BAD',
      message: named,
    });
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
  const verdicts = await Promise.all([missing, short, changed].map(({ folder }) => verifyCheckpoint(folder)));
  assert.deepEqual(
    verdicts.map(({ status }) => status),
    ['damaged', 'damaged', 'damaged'],
  );
});

test('a checkpoint of the wrong size is named on the way to an older one, and all being damaged is an error', async (t) => {
  const store = await storeIn(await temporaryDirectory(t));
  const first = await writeCheckpoint(store, 1);
  const second = await writeCheckpoint(store, 2);
  await truncate(path.join(second.directory, 'model.safetensors'), 100);
  const bad: string[] = [];
  const onBad = (directory: string, error: Error) => {
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

test('a run whose newest checkpoint is damaged is refused as a model, or the one before taken, as is asked', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await storeIn(directory);
  const { directory: first } = await writeCheckpoint(store, 1);
  const { directory: second } = await writeCheckpoint(store, 2);
  const resolved = async (damaged: 'refuse' | 'skip'): Promise<string> =>
    (await resolveModel(new DiskFolder(directory), { damaged })).url;
  assert.equal(await resolved('refuse'), second);
  await truncate(path.join(first, 'model.safetensors'), 100);
  assert.equal(await resolved('refuse'), second, 'an older one is of no concern');
  await writeCheckpoint(store, 3);
  await truncate(path.join(directory, 'checkpoints', 'step-3', 'model.safetensors'), 100);
  assert.equal(await resolved('skip'), second);
  await assert.rejects(resolved('refuse'), {
    code: 'CHECKPOINT_BAD',
    message: /step-3 is not a valid checkpoint: model\.safetensors has 100 bytes/,
  });
  const { directory: later } = await writeCheckpoint(store, 2, null, 2);
  assert.equal(await resolved('refuse'), later, 'the run has gone on from an older one');
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
