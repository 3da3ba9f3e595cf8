// What every kind of folder promises, held against each of them.

import assert from 'node:assert/strict';
import { once as onceOf } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer as createWebServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { writeSlice } from '../../src/checkpoint/files.js';
import { readText, type Folder } from '../../src/checkpoint/folder.js';
import { hashBytes } from '../../src/checkpoint/hash.js';
import { openS3, probeExclusiveCreation } from '../../src/checkpoint/s3-open.js';
import { MemoryFolder } from '../support/memory-folder.js';
import { S3Store, type Fault } from '../support/s3-store.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

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

let objects = '';
let s3: S3Store;
let prefixes = 0;

before(async () => {
  objects = await mkdtemp(path.join(tmpdir(), 'lockstep-s3-'));
  s3 = await S3Store.start(objects);
  Object.assign(process.env, s3.environment);
});

after(async () => {
  await s3.close();
  await rm(objects, { recursive: true, force: true });
});

async function s3Folder(t: TestContext): Promise<Folder> {
  return openS3(s3.urlOf(`prefix-${++prefixes}/run`), { spool: await temporaryDirectory(t) });
}

/** The same for a reader who gives a silent answer up soon; a busy machine may take its time to store what is written. */
const impatient = (folder: Folder): Folder => openS3(folder.url, { silenceMs: 1000 });

kinds.push({
  name: 'in S3',
  open: s3Folder,
  write: (_folder, path, position, values) => writeSlice(path, position, values),
});

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

/** A fault that strikes the first request that fits, once. */
function once(pattern: RegExp, fault: Fault): { struck: () => boolean } {
  let struck = false;
  s3.fault = (request) => {
    if (struck || !pattern.test(request)) return undefined;
    struck = true;
    return fault;
  };
  return { struck: () => struck };
}

const BIG = 5 << 20;

/** A file of several parts in the store; returns its bytes. */
async function upload(folder: Folder): Promise<Buffer> {
  await folder.make();
  const values = new Float32Array(BIG).map((_, i) => i % 9973);
  const spooled = await folder.allocate('big', new Uint8Array(), values.byteLength);
  await writeSlice(spooled, 0, values);
  const sealed = await folder.seal('big');
  const bytes = Buffer.from(values.buffer);
  assert.deepEqual(sealed, { bytes: bytes.byteLength, sha256: hashBytes(bytes) });
  return bytes;
}

for (const [fault, request] of [
  ['reset', /partNumber=2/],
  ['slowDown', /partNumber=1/],
  ['reset', /^PUT .*run\/\?/],
  ['slowDown', /^GET .*big/],
  ['reset', /^GET .*big/],
  ['truncate', /^GET .*big/],
  ['stall', /^GET .*big/],
] as const) {
  test(`in S3: a ${fault} of ${request.source} loses nothing`, async (t) => {
    const { struck } = once(request, fault);
    const folder = await s3Folder(t);
    const bytes = await upload(folder);
    const file = await impatient(folder).open('big');
    const read = new Uint8Array(file.bytes);
    await file.read(read, 0);
    assert.ok(bytes.equals(read));
    assert.ok(struck());
  });
}

for (const fault of ['reset', 'truncate', 'stall'] as const) {
  test(`in S3: a ${fault} while a whole object is read costs nothing but time`, async (t) => {
    const { struck } = once(/^GET .*whole/, fault);
    const folder = await s3Folder(t);
    await folder.create('whole', 'all of it');
    assert.equal(await readText(impatient(folder), 'whole'), 'all of it');
    assert.ok(struck());
  });
}

test('in S3: an object that is replaced again and again is read whole', async (t) => {
  const folder = await s3Folder(t);
  const texts = Array.from({ length: 100 }, (_, i) => String(i).repeat(100));
  await folder.replace('counter', texts[0]!);
  const replaced = (async () => {
    for (const text of texts) await folder.replace('counter', text);
  })();
  for (let i = 0; i < 100; i++) assert.ok(texts.includes((await readText(folder, 'counter'))!));
  await replaced;
});

test('in S3: what is spooled is gone from this machine when it is uploaded, or given up', async (t) => {
  const spool = await temporaryDirectory(t);
  const folder = openS3(s3.urlOf('spooled'), { spool });
  await upload(folder);
  await folder.at('other').allocate('file', new Uint8Array(), 8);
  await folder.at('other').removeAll();
  const left = await readdir(spool, { recursive: true, withFileTypes: true });
  assert.deepEqual(
    left.filter((entry) => entry.isFile()),
    [],
  );
});

test('in S3: a store that says nothing is named soon, one that refuses is there', async (t) => {
  const mute = createServer().listen(0, '127.0.0.1');
  await onceOf(mute, 'listening');
  const { port } = mute.address() as AddressInfo;
  t.after(() => {
    mute.close();
    process.env['AWS_ENDPOINT_URL'] = s3.endpoint;
  });
  process.env['AWS_ENDPOINT_URL'] = `http://KEY:hunter2@127.0.0.1:${port}`;
  await assert.rejects(openS3('s3://bucket/run').knock(200), {
    code: 'STORE_FAILED',
    message: `cannot reach s3://bucket/run/ in the store at http://127.0.0.1:${port}: it has not answered for 0.2 s`,
  });
  process.env['AWS_ENDPOINT_URL'] = '127.0.0.1:9000';
  assert.throws(() => openS3('s3://bucket/run'), {
    code: 'URL_INVALID',
    message: /AWS_ENDPOINT_URL, .*: expected http/,
  });
  process.env['AWS_ENDPOINT_URL'] = s3.endpoint;
  await openS3('s3://absent/run').knock(60_000);
});

test('in S3: what answers as a web server does is said to be none', async (t) => {
  const web = createWebServer(
    (_, response) => void response.writeHead(404).end('<html><p>nothing here</html>'),
  );
  web.listen(0, '127.0.0.1');
  await onceOf(web, 'listening');
  t.after(() => {
    web.close();
    process.env['AWS_ENDPOINT_URL'] = s3.endpoint;
  });
  process.env['AWS_ENDPOINT_URL'] = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  await assert.rejects(openS3('s3://bucket/run').list(), {
    code: 'STORE_FAILED',
    message: /: the answer \(HTTP 404\) is not that of an S3 store: is the address right\?$/,
  });
});

test('in S3: a store that creates an object twice is refused, one that does not is taken', async (t) => {
  await probeExclusiveCreation(await s3Folder(t));
  process.env['AWS_ENDPOINT_URL'] = s3.bareEndpoint;
  t.after(() => (process.env['AWS_ENDPOINT_URL'] = s3.endpoint));
  await assert.rejects(probeExclusiveCreation(await s3Folder(t)), {
    code: 'STORE_UNSUITED',
    message: /ignores "If-None-Match: \*"/,
  });
});

test('in S3: a bucket that is not there and a URL with more than bucket and prefix are faults without secrets', async () => {
  await assert.rejects(openS3('s3://absent/run').list(), {
    code: 'STORE_FAILED',
    message: `cannot list s3://absent/run/ in the store at ${s3.endpoint}: there is no such bucket: create it, or correct the URL`,
  });
  for (const url of [
    's3://',
    's3://b',
    's3://KEY:hunter2@bucket/run',
    's3://bucket/a/../b',
    's3://bucket/a?x=1',
  ]) {
    assert.throws(
      () => openS3(url),
      ({ code, message }: { code: string; message: string }) =>
        code === 'URL_INVALID' && !/hunter2/.test(message),
    );
  }
});
