import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenFiles } from '../../src/data/open-files.js';
import { UserError } from '../../src/util/errors.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { userError } from '../support/user-error.js';
import { writeInput } from './support.js';

test('no more files stay open than allowed, and a closed one is opened again', async (t) => {
  const folder = await temporaryDirectory(t);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) await writeInput(folder, name, `0123${name}`);
  const files = new OpenFiles(folder, 2);
  for (const name of [...names, ...names]) {
    assert.equal((await files.read(name, 3, 2)).toString(), `3${name}`);
    assert.ok(files.count <= 2, `${files.count} files are open`);
  }
  await files.close();
  assert.equal(files.count, 0);
});

test('reads at the same time of more files than allowed all succeed', async (t) => {
  const folder = await temporaryDirectory(t);
  const names = Array.from({ length: 30 }, (_, i) => `file-${i}`);
  for (const name of names) await writeInput(folder, name, name);
  const files = new OpenFiles(folder, 1);
  const found = await Promise.all(names.map((name) => files.read(name, 0, name.length)));
  assert.deepEqual(found.map(String), names);
  await files.close();
});

test('a read beyond the end, or of no file, says which and where', async (t) => {
  const folder = await temporaryDirectory(t);
  await writeInput(folder, 'a', '0123');
  const files = new OpenFiles(folder);
  await assert.rejects(
    files.read('a', 2, 3),
    userError('DATASET_DAMAGED', /3 bytes at 2 of .*a: it ends at byte 4/),
  );
  await assert.rejects(files.read('b', 0, 1), userError('DATASET_DAMAGED', /ENOENT/));
  await writeInput(folder, 'b', 'x');
  assert.equal((await files.read('b', 0, 1)).toString(), 'x');
  await files.close();
});

test('a file that is opened after the folder has become another is not read', async (t) => {
  const folder = await temporaryDirectory(t);
  for (const name of ['a', 'b']) await writeInput(folder, name, name);
  let isAnother = false;
  const check = (): Promise<void> =>
    isAnother ? Promise.reject(new UserError('DATASET_CHANGED', 'another')) : Promise.resolve();
  const files = new OpenFiles(folder, 2, check);
  assert.equal((await files.read('a', 0, 1)).toString(), 'a');
  isAnother = true;
  await assert.rejects(files.read('b', 0, 1), userError('DATASET_CHANGED', /another/));
  assert.equal((await files.read('a', 0, 1)).toString(), 'a'); // open since before
  await files.close();
});
