// What every kind of folder promises, held against each of them.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { writeSlice } from '../../src/checkpoint/files.js';
import { readText, type Folder } from '../../src/checkpoint/folder.js';
import { hashBytes } from '../../src/checkpoint/hash.js';
import { MemoryFolder } from '../support/memory-folder.js';
import { temporaryDirectory } from './fixture.js';

interface Kind {
  readonly name: string;
  open(t: TestContext): Promise<Folder>;
  write(folder: Folder, path: string, position: number, values: Float32Array): Promise<void>;
}

const kinds: Kind[] = [
  {
    name: 'on disk',
    open: async (t) => new DiskFolder(await temporaryDirectory(t)).at('run'),
    write: (_folder, path, position, values) => writeSlice(path, position, values),
  },
  {
    name: 'in memory',
    open: () => Promise.resolve(new MemoryFolder().at('run')),
    write: async (folder, path, position, values) => {
      await Promise.resolve();
      (folder as MemoryFolder).storage.writeSlice(path, position, values);
    },
  },
];

function sorted<T extends { name: string }>(entries: T[]): T[] {
  return entries.sort((a, b) => a.name.localeCompare(b.name));
}

for (const kind of kinds) {
  test(`${kind.name}: of many that make a folder or create a file with data of their own, exactly one does`, async (t) => {
    const folder = (await kind.open(t)).at('deep').at('down');
    const made = await Promise.all(Array.from({ length: 8 }, () => folder.make()));
    assert.equal(made.filter(Boolean).length, 1);
    const texts = Array.from({ length: 8 }, (_, i) => `text ${i}`);
    const created = await Promise.all(texts.map((text) => folder.create('file', text)));
    assert.equal(created.filter(Boolean).length, 1);
    assert.equal(await readText(folder, 'file'), texts[created.indexOf(true)]);
    assert.deepEqual(await folder.list(), [{ name: 'file', bytes: 6 }]);
  });

  test(`${kind.name}: a creation that is repeated with the same data succeeds again`, async (t) => {
    const folder = await kind.open(t);
    await folder.make();
    assert.deepEqual([await folder.create('a', 'x'), await folder.create('a', 'x')], [true, true]);
    assert.equal(await folder.create('a', 'y'), false);
    assert.equal(await readText(folder, 'a'), 'x');
  });

  test(`${kind.name}: what is not there is empty, null or an error, and can be deleted`, async (t) => {
    const folder = (await kind.open(t)).at('none');
    assert.deepEqual(await folder.list(), []);
    assert.equal(await folder.read('file'), null);
    await assert.rejects(folder.open('file'));
    await folder.remove('file');
    await folder.removeAll();
  });

  test(`${kind.name}: folders and files with their sizes are listed, not what lies deeper, and go with the folder`, async (t) => {
    const folder = await kind.open(t);
    await folder.at('inner').make();
    await folder.create('b', 'bb');
    await folder.at('inner').create('c', 'c');
    await folder.replace('counter', '1');
    await folder.replace('counter', '22');
    assert.deepEqual(sorted(await folder.list()), [
      { name: 'b', bytes: 2 },
      { name: 'counter', bytes: 2 },
      { name: 'inner', bytes: null },
    ]);
    assert.equal(await readText(folder, 'counter'), '22');
    await folder.remove('b');
    assert.equal(await folder.read('b'), null);
    await folder.at('inner').removeAll();
    assert.deepEqual(await folder.list(), [{ name: 'counter', bytes: 2 }]);
  });

  test(`${kind.name}: a file written by slices holds them, and reads back at any position`, async (t) => {
    const folder = await kind.open(t);
    await folder.make();
    const head = Uint8Array.of(1, 2, 3, 4);
    const path = await folder.allocate('big', head, 4 + 4 * 6);
    await kind.write(folder, path, 4 + 4 * 2, Float32Array.of(7, 8));
    await kind.write(folder, path, 4, Float32Array.of(5));
    const expected = Buffer.concat([head, Buffer.from(Float32Array.of(5, 0, 7, 8, 0, 0).buffer)]);
    assert.deepEqual(await folder.seal('big'), { bytes: 28, sha256: hashBytes(expected) });
    const file = await folder.open('big');
    const values = new Uint8Array(12);
    await file.read(values, 8);
    assert.deepEqual([file.bytes, Buffer.from(values)], [28, expected.subarray(8, 20)]);
    await assert.rejects(file.read(new Uint8Array(8), 24));
    await file.close();
  });
}
