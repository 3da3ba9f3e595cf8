import assert from 'node:assert/strict';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { findInputs } from '../../src/data/inputs.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { userError } from '../support/user-error.js';
import { writeInput } from './support.js';

const NAMES = ['b/10.txt', 'b/9.txt', 'a.jsonl', 'a.txt.gz', 'c.tsv', 'd.md', 'b/E.TXT', '.hidden.txt'];

async function names(folder: string, args: readonly string[], pairs: boolean): Promise<string[]> {
  const files = await findInputs(
    args.map((arg) => join(folder, arg)),
    pairs,
  );
  return files.map((file) => relative(folder, file.path));
}

test('a folder gives its text files sorted by path, with those of the folders in it', async (t) => {
  const folder = await temporaryDirectory(t);
  for (const name of NAMES) await writeInput(folder, name, 'x');
  assert.deepEqual(await names(folder, ['.'], false), [
    'a.jsonl',
    'a.txt.gz',
    'b/10.txt',
    'b/9.txt',
    'b/E.TXT',
  ]);
  assert.deepEqual(await names(folder, ['.'], true), ['a.jsonl', 'c.tsv']);
});

test('arguments keep their order, a pattern is sorted, and no file is read twice', async (t) => {
  const folder = await temporaryDirectory(t);
  for (const name of NAMES) await writeInput(folder, name, 'x');
  assert.deepEqual(await names(folder, ['b/9.txt', 'b/*.txt', 'a.*'], false), [
    'b/9.txt',
    'b/10.txt',
    'a.jsonl',
    'a.txt.gz',
  ]);
});

test('what is found carries its format, compression and size', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = await writeInput(folder, 'A.JSONL.GZ', 'abc');
  assert.deepEqual(await findInputs([path], false), [{ path, format: 'jsonl', gzip: true, bytes: 3 }]);
});

test('what cannot be read as asked for is refused by name', async (t) => {
  const folder = await temporaryDirectory(t);
  const markdown = await writeInput(folder, 'd.md', 'x');
  const table = await writeInput(folder, 'c.tsv', 'x');
  const text = await writeInput(folder, 'e.txt', 'x');
  await assert.rejects(findInputs([markdown], false), userError('INPUT_FORMAT', /d\.md.*\.txt or \.jsonl/));
  await assert.rejects(findInputs([table], false), userError('INPUT_FORMAT', /--pairs/));
  await assert.rejects(findInputs([text], true), userError('INPUT_FORMAT', /\.tsv or \.jsonl/));
  await assert.rejects(
    findInputs([join(folder, 'absent.txt')], false),
    userError('INPUT_NOT_FOUND', /absent\.txt/),
  );
  await assert.rejects(
    findInputs([join(folder, '*.jsonl')], false),
    userError('INPUT_NOT_FOUND', /\*\.jsonl/),
  );
});
