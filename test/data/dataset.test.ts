import assert from 'node:assert/strict';
import { mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { openDataset, verifyDataset } from '../../src/data/dataset.js';
import type { Manifest } from '../../src/data/manifest.js';
import { ShardWriter, writeHashed } from '../../src/data/shard-writer.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { userError } from '../support/user-error.js';
import { writeInput } from './support.js';

const VOCABULARY = 70_000;

interface Content {
  /** Tokens of a text; or pairs. */
  readonly train: readonly number[] | readonly (readonly [readonly number[], readonly number[]])[];
  readonly shardTokens?: number;
  readonly tokenBytes?: 2 | 4;
}

/** Writes a data set without a tokenizer's help. */
async function write(directory: string, content: Content): Promise<Manifest> {
  const { train, shardTokens = 1000, tokenBytes = 4 } = content;
  const pairs = Array.isArray(train[0]);
  const writer = (split: 'train' | 'validation'): ShardWriter =>
    new ShardWriter({ directory, split, tokenBytes, pairs, shardTokens });
  const trainWriter = writer('train');
  if (pairs) {
    const list = train as readonly (readonly [readonly number[], readonly number[]])[];
    await trainWriter.writePairs(
      Uint32Array.from(list.flat(2)),
      Uint32Array.from(list.flat().map((ids) => ids.length)),
    );
  } else {
    await trainWriter.writeText(Uint32Array.from(train as readonly number[]), 1);
  }
  const manifest: Manifest = {
    format: 'lockstep-dataset',
    version: 1,
    kind: pairs ? 'pairs' : 'text',
    vocabularySize: tokenBytes === 2 ? 65_536 : VOCABULARY,
    tokenBytes,
    padId: 0,
    endId: 1,
    maskId: 2,
    specialIds: [0, 1, 2],
    splits: { train: await trainWriter.finish(), validation: await writer('validation').finish() },
    unigramNats: null,
    input: { files: 1, bytes: 1, lines: 1, malformed: 0 },
    files: [await writeHashed(directory, 'tokenizer.json', '{}')],
  };
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
  return manifest;
}

async function readAll(directory: string, window: number): Promise<number[][][]> {
  const dataset = await openDataset(directory);
  try {
    const split = dataset.split('train', window);
    const samples = await Promise.all(Array.from({ length: split.samples }, (_, i) => split.read(i)));
    return samples.map((sample) => sample.map((ids) => [...ids]));
  } finally {
    await dataset.close();
  }
}

test('windows of a text are its tokens in order, across shards, with a last one of at least two', async (t) => {
  const root = await temporaryDirectory(t);
  const ids = fc.array(fc.integer({ min: 0, max: VOCABULARY - 1 }), { minLength: 1, maxLength: 60 });
  const small = fc.integer({ min: 1, max: 20 });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(ids, small, small, async (tokens, window, shardTokens) => {
      const directory = join(root, String(run++));
      await mkdir(directory);
      const manifest = await write(directory, { train: tokens, shardTokens });
      assert.equal(manifest.splits.train.shards.length, Math.ceil(tokens.length / shardTokens));
      const samples = await readAll(directory, window);
      const rest = tokens.length % window;
      const kept = rest === 1 && window > 1 ? tokens.length - 1 : tokens.length;
      assert.deepEqual(samples.flat(2), tokens.slice(0, kept));
      assert.ok(samples.slice(0, -1).every(([sample]) => sample!.length === window));
    }),
    { numRuns: 40 },
  );
});

test('pairs come back as they were written, whatever the size of the shards', async (t) => {
  const root = await temporaryDirectory(t);
  const side = fc.array(fc.integer({ min: 0, max: 65_535 }), { minLength: 1, maxLength: 12 });
  const pairs = fc.array(fc.tuple(side, side), { minLength: 1, maxLength: 20 });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(pairs, fc.integer({ min: 1, max: 40 }), async (list, shardTokens) => {
      const directory = join(root, String(run++));
      await mkdir(directory);
      const manifest = await write(directory, { train: list, shardTokens, tokenBytes: 2 });
      const bounded = manifest.splits.train.shards.every(
        (shard) => shard.tokens <= shardTokens || shard.pairs === 1,
      );
      assert.ok(bounded, 'a shard is too large');
      assert.deepEqual(await readAll(directory, 0), list);
    }),
    { numRuns: 40 },
  );
});

test('many shards are read with few files open', async (t) => {
  const directory = await temporaryDirectory(t);
  const tokens = Array.from({ length: 400 }, (_, i) => i);
  await write(directory, { train: tokens, shardTokens: 2 });
  assert.deepEqual((await readAll(directory, 3)).flat(2), tokens.slice(0, 399));
});

test('a folder without a manifest is no data set', async (t) => {
  const directory = await temporaryDirectory(t);
  await assert.rejects(
    openDataset(directory),
    userError('DATASET_NOT_FOUND', /Make one: npx lockstep prepare INPUT --out /),
  );
});

test('a folder of text is answered with the command that prepares it, into another folder', async (t) => {
  const root = await temporaryDirectory(t);
  const before = process.cwd();
  process.chdir(root);
  t.after(() => process.chdir(before));
  const answered = async (folder: string, advice: RegExp): Promise<void> => {
    await assert.rejects(openDataset(resolve(folder)), userError('DATASET_NOT_FOUND', advice));
  };
  const write = async (folder: string, ...names: string[]): Promise<void> => {
    await mkdir(folder, { recursive: true });
    for (const name of names) await writeFile(join(folder, name), 'the sea\n');
  };
  await write('books', 'b.txt', 'a.txt.gz', 'cover.png');
  await answered(
    'books',
    /got a folder of text files \(a\.txt\.gz and 1 more\)\. .*: npx lockstep prepare books --out data\/books; .* --set data=data\/books$/,
  );
  await write('data/pairs', 'a.tsv');
  await answered('data/pairs', /prepare --pairs data\/pairs --out data\/pairs-prepared; /);
});

/** Opens a data set whose manifest was changed by hand. */
async function openChanged(t: TestContext, change: (manifest: Manifest) => unknown): Promise<void> {
  const directory = await temporaryDirectory(t);
  const manifest = structuredClone(await write(directory, { train: [1, 2, 3, 4, 5] }));
  const changed = change(manifest) ?? manifest;
  await writeFile(
    join(directory, 'manifest.json'),
    typeof changed === 'string' ? changed : JSON.stringify(changed),
  );
  await (await openDataset(directory)).close();
}

const wrongManifests: Record<string, [change: (manifest: Manifest) => unknown, message: RegExp]> = {
  'is not JSON': [() => '{"format":', /JSON/],
  'has another format': [(m) => ({ ...m, format: 'other' }), /format/],
  'has a newer version': [(m) => ({ ...m, version: 2 }), /version/],
  'has an unknown key': [(m) => ({ ...m, extra: 1 }), /extra/],
  'names a file in another folder': [(m) => void (m.splits.train.shards[0]!.file = '../train.bin'), /file/],
  'names an absolute path': [(m) => void (m.files[0]!.file = '/etc/passwd'), /file/],
  'names a hidden file': [(m) => void (m.files[0]!.file = '..'), /file/],
  'lists a file twice': [(m) => void m.files.push(m.files[0]!), /twice/],
  'lists no tokenizer': [(m) => ({ ...m, files: [] }), /tokenizer\.json/],
  'has a fractional count': [(m) => void (m.splits.train.tokens = 4.5), /tokens/],
  'has a negative size': [(m) => void (m.splits.train.shards[0]!.bytes = -4), /bytes/],
  'has a wrong sum of tokens': [(m) => void (m.splits.train.tokens = 6), /its shards have 5/],
  'has a size that contradicts its tokens': [
    (m) => void (m.splits.train.shards[0]!.tokens = 4),
    /bytes for 4 tokens/,
  ],
  'has a special token outside of the vocabulary': [
    (m) => void (m.maskId = VOCABULARY),
    /outside of the vocabulary/,
  ],
  'has 16-bit tokens for a larger vocabulary': [(m) => ({ ...m, tokenBytes: 2 }), /do not fit/],
  'says pairs but has no index': [(m) => ({ ...m, kind: 'pairs' }), /index/],
};

for (const [what, [change, message]] of Object.entries(wrongManifests)) {
  test(`a manifest that ${what} is refused`, async (t) => {
    await assert.rejects(openChanged(t, change), userError('DATASET_INVALID', message));
  });
}

test('a file that is missing or has another size is found when opening', async (t) => {
  const directory = await temporaryDirectory(t);
  await write(directory, { train: [1, 2, 3, 4, 5] });
  await truncate(join(directory, 'train-00000.bin'), 19);
  await assert.rejects(
    openDataset(directory),
    userError('DATASET_DAMAGED', /train-00000\.bin.*expected 20 bytes, found 19/),
  );
});

test('a listed file that is a link out of the folder, or no file, is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  await write(directory, { train: [1, 2, 3, 4, 5] });
  const shard = join(directory, 'train-00000.bin');
  const outside = await writeInput(await temporaryDirectory(t), 'other.bin', await readFile(shard));
  await rm(shard);
  await symlink(outside, shard);
  await assert.rejects(openDataset(directory), userError('DATASET_DAMAGED', /is a link to .*outside/));
  await rm(shard);
  await mkdir(shard);
  await assert.rejects(openDataset(directory), userError('DATASET_DAMAGED', /no regular file/));
});

test('data that are prepared again while they are open are noticed before any of the new ones are read', async (t) => {
  const directory = await temporaryDirectory(t);
  await write(directory, { train: [1, 2, 3, 4], shardTokens: 2 });
  const dataset = await openDataset(directory);
  const train = dataset.split('train', 2);
  await train.read(0);
  await rm(directory, { recursive: true });
  await mkdir(directory);
  await write(directory, { train: [1, 2, 4, 3], shardTokens: 2 });
  assert.deepEqual(await train.read(0), [Int32Array.of(1, 2)]); // its file is open since before
  await assert.rejects(train.read(1), userError('DATASET_CHANGED', /was prepared again while it was in use/));
  await dataset.close();
});

test('verification finds a changed bit and names the file', async (t) => {
  const directory = await temporaryDirectory(t);
  await write(directory, { train: [[[5], [6, 7]]], tokenBytes: 2 });
  assert.deepEqual(await verifyDataset(directory), { files: 3, bytes: 2 + 6 + 16 });
  const path = join(directory, 'train-00000.idx');
  const bytes = await readFile(path);
  bytes[12]! ^= 4;
  await writeFile(path, bytes);
  await assert.rejects(verifyDataset(directory), userError('DATASET_DAMAGED', /train-00000\.idx.*SHA-256/));
  // Reading notices it as well: the pair would lie outside of its shard.
  const dataset = await openDataset(directory);
  await assert.rejects(dataset.split('train', 0).read(0), userError('DATASET_DAMAGED', /outside/));
  await dataset.close();
});

test('a token outside of the vocabulary is an error, not an index out of bounds in the model', async (t) => {
  const directory = await temporaryDirectory(t);
  await write(directory, { train: [1, VOCABULARY] });
  await assert.rejects(readAll(directory, 2), userError('DATASET_DAMAGED', /token 70000/));
});
