import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openDataset, verifyDataset } from '../../src/data/dataset.js';
import { isHeldOut } from '../../src/data/held-out.js';
import { prepare } from '../../src/data/prepare.js';
import type { PrepareOptions } from '../../src/data/prepare-options.js';
import { loadTokenizer } from '../../src/data/tokenizer.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { userError } from '../support/user-error.js';
import { story, writeInput } from './support.js';

const SMALL = { vocabularySize: 300, threads: 2, pieceBytes: 4000, validationShare: 0.1 } as const;

/** Text, JSON lines and their compressed forms, enough for several held-out stretches. */
async function corpus(t: TestContext): Promise<{ folder: string; input: string; out: string }> {
  const folder = await temporaryDirectory(t);
  await writeInput(folder, 'in/book.txt', story(20_000));
  await writeInput(folder, 'in/zipped.txt.gz', gzipSync(story(8000, 2)));
  const lines = Array.from({ length: 300 }, (_, i) => `${JSON.stringify({ text: story(30, i + 3) })}\n`);
  await writeInput(folder, 'in/lines.jsonl', lines.join(''));
  return { folder, input: join(folder, 'in'), out: join(folder, 'out') };
}

/** The SHA-256 of every file of a folder. */
async function sums(directory: string): Promise<Record<string, string>> {
  const names = (await readdir(directory)).sort();
  const entries = names.map(async (name) => {
    const bytes = await readFile(join(directory, name));
    return [name, createHash('sha256').update(bytes).digest('hex')] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** All text of a part, decoded. */
async function decoded(directory: string, split: 'train' | 'validation'): Promise<string> {
  const dataset = await openDataset(directory);
  const tokenizer = await loadTokenizer(dataset.tokenizerFile);
  const samples = dataset.split(split, 10_000);
  let text = '';
  for (let i = 0; i < samples.samples; i++) {
    const [ids] = await samples.read(i);
    text += await tokenizer.decode(ids!, { skipSpecial: false });
  }
  await dataset.close();
  return text;
}

test('the same input gives the same bytes with 1 and with 3 threads', async (t) => {
  const { folder, input } = await corpus(t);
  const options = { ...SMALL, inputs: [input], shardBytes: 10_000 };
  await prepare({ ...options, out: join(folder, 'a'), threads: 1 });
  await prepare({ ...options, out: join(folder, 'b'), threads: 3 });
  const found = await sums(join(folder, 'a'));
  assert.ok(Object.keys(found).length > 6, 'expected several shards');
  assert.deepEqual(await sums(join(folder, 'b')), found);
});

test('every character of the input is in one of the parts, documents ended, and the sums hold', async (t) => {
  const { folder, out } = await corpus(t);
  const book = join(folder, 'in/book.txt');
  const summary = await prepare({ ...SMALL, inputs: [book], out });
  const train = await decoded(out, 'train');
  const validation = await decoded(out, 'validation');
  const original = await readFile(book, 'utf8');
  // Fragments in the order of the book alternate between the parts, beginning with training.
  const parts = [train.split('</s>').slice(0, -1), validation.split('</s>').slice(0, -1)];
  const rebuilt = Array.from(
    { length: parts[0]!.length + parts[1]!.length },
    (_, i) => parts[i % 2]![Math.floor(i / 2)],
  );
  assert.equal(rebuilt.join(''), original);
  const share = validation.length / (validation.length + train.length);
  assert.ok(share > 0.05 && share < 0.16, `${share} held out`);
  await verifyDataset(out);
  const { manifest } = await openDataset(out);
  assert.deepEqual(manifest.input, {
    files: 1,
    bytes: Buffer.byteLength(original),
    lines: summary.input.lines,
    malformed: 0,
  });
  assert.equal(manifest.splits.train.documents, parts[0]!.length);
  assert.deepEqual(summary.train, { tokens: manifest.splits.train.tokens, documents: parts[0]!.length });
});

test('tokens are those of the tokenizer on the whole document', async (t) => {
  const { folder, out } = await corpus(t);
  const book = join(folder, 'in/book.txt');
  await prepare({ ...SMALL, validationShare: 0, inputs: [book], out });
  const dataset = await openDataset(out);
  const tokenizer = await loadTokenizer(dataset.tokenizerFile);
  const expected = [...(await tokenizer.encode(await readFile(book, 'utf8'))), tokenizer.endId];
  const [ids] = await dataset.split('train', 1e6).read(0);
  assert.deepEqual([...ids!], expected);
  assert.equal(dataset.manifest.unigramNats, null);
  await dataset.close();
});

test('the unigram baseline is that of the definition', async (t) => {
  const { input, out } = await corpus(t);
  const summary = await prepare({ ...SMALL, inputs: [input], out });
  const dataset = await openDataset(out);
  const [train] = await dataset.split('train', 1e6).read(0);
  const [validation] = await dataset.split('validation', 1e6).read(0);
  const nats = (id: number): number =>
    -Math.log((train!.filter((other) => other === id).length + 1) / (train!.length + dataset.vocabularySize));
  const table = Array.from({ length: dataset.vocabularySize }, (_, id) => nats(id));
  const expected = [...validation!].reduce((total, id) => total + table[id]!, 0) / validation!.length;
  assert.ok(Math.abs(summary.unigramNats! - expected) < 1e-9, `${summary.unigramNats} and ${expected}`);
  await dataset.close();
});

test('pairs keep source and target together, and the baseline is over targets with their ends', async (t) => {
  const folder = await temporaryDirectory(t);
  const rows = Array.from({ length: 400 }, (_, i) => [
    `das ${story(4, i + 1).trim()}`,
    `the ${i} ${story(3, i + 9).trim()}`,
  ]);
  const tsv = rows.slice(0, 200).map((row) => `${row.join('\t')}\n`);
  const jsonl = rows.slice(200).map(([source, target]) => `${JSON.stringify({ source, target })}\n`);
  const inputs = [
    await writeInput(folder, 'a.tsv', tsv.join('')),
    await writeInput(folder, 'b.jsonl.gz', gzipSync(jsonl.join(''))),
  ];
  const out = join(folder, 'out');
  const summary = await prepare({
    ...SMALL,
    inputs,
    out,
    pairs: true,
    validationShare: 0.3,
    shardBytes: 2000,
  });
  assert.equal(summary.train.documents + summary.validation.documents, 400);
  const dataset = await openDataset(out);
  assert.ok(dataset.manifest.splits.train.shards.length > 1);
  const tokenizer = await loadTokenizer(dataset.tokenizerFile);
  const found: string[] = [];
  for (const name of ['train', 'validation'] as const) {
    const split = dataset.split(name, 0);
    for (let i = 0; i < split.samples; i++) {
      const texts = (await split.read(i)).map((ids) => tokenizer.decode(ids, { skipSpecial: false }));
      found.push((await Promise.all(texts)).join('\t'));
    }
  }
  assert.deepEqual(found.sort(), rows.map((row) => row.join('\t')).sort());
  const logPerToken = Math.log(dataset.vocabularySize);
  assert.ok(summary.unigramNats! > 0 && summary.unigramNats! < logPerToken);
  await dataset.close();
});

test('malformed lines are left out and named; too many are an error', async (t) => {
  const folder = await temporaryDirectory(t);
  const good = (i: number): string => JSON.stringify({ text: `line ${i} ${story(20, i + 1)}` });
  const lines = Array.from({ length: 200 }, (_, i) => (i === 57 || i === 180 ? '{"text":' : good(i)));
  const path = await writeInput(folder, 'in.jsonl', lines.join('\n'));
  const options = { ...SMALL, inputs: [path], out: join(folder, 'out') };
  const summary = await prepare(options);
  assert.deepEqual(summary.firstMalformed, [
    { path, line: 58, problem: 'not JSON' },
    { path, line: 181, problem: 'not JSON' },
  ]);
  assert.deepEqual([summary.input.lines, summary.input.malformed], [200, 2]);
  await assert.rejects(
    prepare({ ...options, maxMalformedShare: 0.009 }),
    userError('INPUT_MALFORMED', /2 of 200 lines \(1 %\).*0\.9 %.*in\.jsonl:58: not JSON/s),
  );
});

test('a given tokenizer is used as it is, and its special tokens by their names', async (t) => {
  const { folder, input, out } = await corpus(t);
  await prepare({ ...SMALL, inputs: [input], out });
  const json = (await readFile(join(out, 'tokenizer.json'), 'utf8')).replaceAll('"<mask>"', '"[M]"');
  const tokenizer = await writeInput(folder, 'mine.json', json);
  const second = { inputs: [input], out: join(folder, 'second'), threads: 1, tokenizer };
  await assert.rejects(prepare(second), userError('TOKENIZER_TOKEN_MISSING', /--mask-token/));
  await prepare({ ...second, tokenNames: { mask: '[M]' } });
  assert.equal(await readFile(join(second.out, 'tokenizer.json'), 'utf8'), json);
  assert.equal((await loadTokenizer(join(second.out, 'tokenizer.json'))).specialTokens.mask, '[M]');
  await assert.rejects(prepare({ ...second, vocabularySize: 400 }), userError('PREPARE_OPTIONS'));
});

test('a folder that is no data set is left alone without force, an earlier data set is replaced', async (t) => {
  const { folder, input, out } = await corpus(t);
  const options = { ...SMALL, inputs: [input], out };
  assert.equal((await prepare(options)).replaced, false);
  assert.equal((await prepare(options)).replaced, false); // by the same
  assert.equal((await prepare({ ...options, vocabularySize: 290 })).replaced, true);
  assert.equal((await openDataset(out)).vocabularySize, 290);
  await writeFile(join(out, 'notes.md'), 'mine');
  await assert.rejects(prepare(options), userError('OUT_NOT_EMPTY', /--force/));
  assert.equal(await readFile(join(out, 'notes.md'), 'utf8'), 'mine');
  await prepare({ ...options, force: true });
  assert.ok(!(await readdir(out)).includes('notes.md'));
  await assert.rejects(prepare({ ...options, out: folder, force: true }), userError('OUT_IN_USE', /in/));
  await assert.rejects(
    prepare({ ...options, out: join(input, 'book.txt') }),
    userError('OUT_NOT_EMPTY', /file/),
  );
});

test('what is aborted or fails leaves nothing behind, and an earlier data set as it was', async (t) => {
  const { folder, input, out } = await corpus(t);
  const options: PrepareOptions = { ...SMALL, inputs: [input], out };
  await prepare(options);
  const before = await sums(out);
  for (const phase of ['count', 'train-tokenizer', 'encode']) {
    const controller = new AbortController();
    const abort = (progress: { phase: string }): void => {
      if (progress.phase === phase) controller.abort(new Error(`stopped in ${phase}`));
    };
    await assert.rejects(
      prepare({ ...options, vocabularySize: 2000, signal: controller.signal }, abort),
      /stopped in/,
    );
  }
  const empty = await writeInput(folder, 'empty.txt', '');
  await assert.rejects(prepare({ ...options, inputs: [empty] }), userError('INPUT_EMPTY', /it is empty/));
  assert.deepEqual(await sums(out), before);
  assert.deepEqual((await readdir(folder)).sort(), ['empty.txt', 'in', 'out']);
});

test('the tokenizer learns nothing from what is held out', async (t) => {
  const folder = await temporaryDirectory(t);
  let lines = '';
  while (lines.length < 100_000)
    lines += `${JSON.stringify({ text: isHeldOut(lines.length, 0.5) ? ' zebra' : ' horse' })}\n`;
  const out = join(folder, 'out');
  const path = await writeInput(folder, 'in.jsonl', lines);
  await prepare({ ...SMALL, inputs: [path], out, validationShare: 0.5, vocabularySize: 270 });
  const tokenizer = await loadTokenizer(join(out, 'tokenizer.json'));
  assert.equal((await tokenizer.encode(' horse')).length, 1);
  assert.ok((await tokenizer.encode(' zebra')).length > 1);
  assert.ok(!(await decoded(out, 'train')).includes('zebra'));
  assert.ok(!(await decoded(out, 'validation')).includes('horse'));
});

test('progress goes through the phases and ends at the total', async (t) => {
  const { input, out } = await corpus(t);
  const last = new Map<string, { done: number; total: number }>();
  await prepare({ ...SMALL, inputs: [input], out }, ({ phase, done, total }) => {
    assert.ok(done >= (last.get(phase)?.done ?? 0) && done <= total, `${phase} ${done} of ${total}`);
    last.set(phase, { done, total });
  });
  assert.deepEqual([...last.keys()], ['count', 'train-tokenizer', 'encode']);
  for (const { done, total } of last.values()) assert.equal(done, total);
});

test('a tokenizer can be trained on a part of the input', async (t) => {
  const { input, out } = await corpus(t);
  const summary = await prepare({ ...SMALL, inputs: [input], out, tokenizerBytes: 20_000 });
  assert.equal(summary.vocabularySize, 300);
  await verifyDataset(out);
});
