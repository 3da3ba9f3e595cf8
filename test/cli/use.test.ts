import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { runLockstep, type Outcome } from '../../bench/support/run-lockstep.js';
import { unsuitedTokens } from '../../src/cli/fill.js';
import { buildBatch, type ObjectiveConfig, type TokenIds } from '../../src/model/objectives.js';
import { trainableModel, train } from '../model/trainable.js';
import { letters, modelConfig, VOCABULARY, WINDOW, writeDataset, writeRun } from './model-run.js';

const masked: ObjectiveConfig = { kind: 'masked', rate: 0.3, corruption: 'token', meanSpan: 3, loss: 'all' };
const tokens: TokenIds = {
  padId: 0,
  endId: 1,
  startId: 0,
  maskId: 2,
  vocabularySize: VOCABULARY,
  specialIds: [0, 1, 2],
};

let root: string;
let checkpoint: string; // of the masked run
const at = (name: string): string => path.join(root, name);

before(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'lockstep-use-'));
  await writeDataset(at('data'), 26 * WINDOW);
  const model = await trainableModel(modelConfig);
  for (const kind of ['causal', 'seq2seq'] as const)
    await writeRun(at(kind), at('data'), { kind }, model.flat);
  const loss = train(model, 150, 1e-2, (step) => {
    const samples = Array.from({ length: 16 }, (_, j) => [letters((step * 16 + j) * 7, WINDOW)]);
    return buildBatch(samples, masked, tokens, { seed: 1, step, microBatch: 0 }, modelConfig.maxLength);
  });
  assert.ok(loss < 0.1, `trained to a loss of ${loss}`);
  checkpoint = await writeRun(at('masked'), at('data'), masked, model.flat);
});

after(() => rm(root, { recursive: true, force: true }));

function lockstep(args: readonly string[], input = ''): Promise<Outcome> {
  return runLockstep([...args, '--threads', '1'], { input });
}

const jsonLines = (out: string): Record<string, unknown>[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('fill restores hidden letters, from arguments and from lines', async () => {
  const plain = await lockstep(['fill', at('masked'), 'abc<mask>efgh']);
  assert.equal(plain.code, 0, plain.err);
  assert.match(plain.out, /^abcdefgh\n {2}mask 1: d \d+ %/);
  const { out } = await lockstep(
    ['fill', checkpoint, '--json', '--top', '2'],
    'k<mask>mno<mask>q\nyzabc<mask>e\n',
  );
  const [first, second] = jsonLines(out);
  assert.equal(first!['filled'], 'klmnopq');
  assert.equal(second!['filled'], 'yzabcde');
  const masks = first!['masks'] as { text: string; alternatives: { text: string; probability: number }[] }[];
  assert.deepEqual(
    masks.map((mask) => [mask.text, mask.alternatives.length]),
    [
      ['l', 2],
      ['p', 2],
    ],
  );
  assert.ok(masks[0]!.alternatives[0]!.probability > 0.5);
});

test('a filled text has the spaces and lines of the given one', async () => {
  const { out } = await lockstep(['fill', at('masked'), '--json'], 'abc  <mask>e <mask> g\n');
  assert.equal(jsonLines(out)[0]!['filled'], 'abc  de f g');

  const texts = ['', ' sea', 'sea', ',', ' ', '\n', ' \n', '\uFFFD'];
  const { anywhere, behindSpace, behindText } = unsuitedTokens(texts, [], 1);
  const left = (ids: readonly number[]): string[] =>
    texts.filter((_, id) => ![...anywhere, ...ids].includes(id));
  assert.deepEqual([left(behindSpace), left(behindText)], [[' sea'], ['sea', ',']]);
  assert.deepEqual(unsuitedTokens(['a', ' '], [], 2).behindSpace, [], 'where spaces are tokens of their own');
  const words = unsuitedTokens(['<pad>', ' a', ' b'], [0], 2);
  assert.deepEqual(words.behindText, [], 'where a space stands before every token');
  assert.ok(!unsuitedTokens(texts, [], 2).anywhere.includes(7), 'a character may be several tokens');
});

test('fill says which line has no mask, and a model of another objective is refused', async () => {
  const bare = await lockstep(['fill', at('masked')], 'a<mask>c\nabc\n');
  assert.equal(bare.code, 2);
  assert.match(bare.err, /^error: line 2: expected at least one <mask>, got "abc"\n$/);
  assert.match(bare.out, /^abc\n/);
  const causal = await lockstep(['fill', at('causal'), 'a<mask>c']);
  assert.equal(causal.code, 2);
  assert.match(causal.err, /objective causal, expected masked: use `npx lockstep generate`/);
});

test('eval is far below the unigram baseline, and on part of the data says so', async () => {
  const [whole, part] = await Promise.all([
    lockstep(['eval', at('masked'), '--json']),
    lockstep(['eval', at('masked'), '--batches', '2', '--split', 'train']),
  ]);
  assert.equal(whole.code, 0, whole.err);
  const [result] = jsonLines(whole.out);
  assert.equal(result!['samples'], 26);
  assert.equal(result!['step'], 3);
  assert.equal(result!['unigramLoss'], Math.log(26));
  assert.ok(Number(result!['loss']) < Math.log(26) - 2);
  assert.ok(Math.abs(Number(result!['perplexity']) - Math.exp(Number(result!['loss']))) < 1e-9);
  assert.match(part.out, /^tokens {6}16 in 8 samples$/m);
});

test('generate continues a prompt, and a seed gives the same texts in any batches', async () => {
  const args = ['generate', at('causal'), '--json', '--max-new-tokens', '5', '--samples', '3', '--seed', '7'];
  const [one, other] = await Promise.all([
    lockstep([...args, 'ab', 'xyz']),
    lockstep([...args, '--batch', '2'], 'ab\nxyz\n'),
  ]);
  assert.equal(one.code, 0, one.err);
  assert.equal(one.out, other.out);
  const texts = jsonLines(one.out);
  assert.equal(texts.length, 6);
  assert.equal(new Set(texts.map((line) => line['text'])).size, 6);
  assert.ok(texts.every((line) => String(line['text']).startsWith(String(line['prompt']))));
  const prompt = await lockstep(['generate', at('causal'), '--max-new-tokens', '3', 'abcdefghijklmnop']);
  assert.match(prompt.err, /text 1: expected at most 12 tokens with the end token .*, got 17/);
});

test('translate answers each line with one, and the n best are ordered', async () => {
  const { code, out, err } = await lockstep(
    ['translate', at('seq2seq'), '--n-best', '3', '--json'],
    'abc\n\nxy\n',
  );
  assert.equal(code, 0, err);
  const lines = jsonLines(out);
  assert.deepEqual(
    lines.map((line) => line['source']),
    ['abc', '', 'xy'],
  );
  assert.equal(lines[1]!['translation'], '');
  const scores = (lines[0]!['hypotheses'] as { score: number }[]).map(({ score }) => score);
  assert.equal(scores.length, 3);
  assert.deepEqual(
    scores,
    [...scores].sort((a, b) => b - a),
  );
});

test('score reads texts and ids, from a file and from standard input, and keeps their order', async () => {
  const [source, target] = [
    [...letters(0, 3), 1],
    [...letters(3, 2), 1],
  ];
  const lines = [
    JSON.stringify({ source: 'abc', target: 'de' }),
    JSON.stringify({ sourceIds: source, targetIds: target }),
    '',
    JSON.stringify({ sourceIds: source, targetIds: [] }),
  ].join('\n');
  await writeFile(at('pairs.jsonl'), lines);
  const fromFile = await lockstep(['score', at('seq2seq'), at('pairs.jsonl')]);
  assert.equal(fromFile.code, 0, fromFile.err);
  assert.equal(fromFile.out, (await lockstep(['score', at('seq2seq'), '--json', '--batch', '1'], lines)).out);
  const [textual, ids, empty] = jsonLines(fromFile.out);
  assert.deepEqual({ ...textual, line: 2 }, ids);
  assert.deepEqual(textual!['targetIds'], target);
  const values = ids!['logProbabilities'] as number[];
  assert.equal(values.length, 3);
  assert.ok(Math.abs(values.reduce((a, b) => a + b) - Number(ids!['logProbability'])) < 1e-9);
  assert.deepEqual(empty, { line: 4, targetIds: [], logProbabilities: [], logProbability: 0 });
});

test('score ends at a faulty line with its number, after the results before it', async () => {
  const good = JSON.stringify({ sourceIds: [4, 1], targetIds: [5] });
  const faulty = JSON.stringify({ source: 'a', target: 'a'.repeat(12) });
  const [fault, missing] = await Promise.all([
    lockstep(['score', at('seq2seq')], `${good}\n${faulty}\n${good}\n`),
    lockstep(['score', at('seq2seq'), at('none.jsonl')]),
  ]);
  assert.equal(fault.code, 2);
  assert.match(
    fault.err,
    /^error: standard input, line 2: expected a target of at most 12 tokens .*got 13\n$/,
  );
  assert.deepEqual(
    jsonLines(fault.out).map((result) => result['line']),
    [1],
  );
  assert.equal(missing.code, 2);
  assert.match(missing.err, /cannot read .*none\.jsonl: ENOENT/);
});

test('a damaged or unfinished checkpoint is refused, a plain Hugging Face directory is taken', async () => {
  const plain = at('plain');
  await mkdir(plain);
  for (const file of ['config.json', 'model.safetensors', 'tokenizer.json']) {
    await copyFile(path.join(checkpoint, file), path.join(plain, file));
  }
  const filled = await lockstep(['fill', plain, 'abc<mask>efgh']);
  assert.match(filled.out, /^abcdefgh\n/);
  await copyFile(path.join(checkpoint, 'optimizer.safetensors'), path.join(plain, 'optimizer.safetensors'));
  const torn = await lockstep(['fill', plain, 'abc<mask>efgh']);
  assert.equal(torn.code, 2);
  assert.match(torn.err, /not a valid checkpoint: it has no manifest\.json/);

  const damaged = await writeRun(at('damaged'), at('data'), masked, new Float32Array(0));
  await flipLastBit(path.join(damaged, 'model.safetensors'));
  const refused = await lockstep(['fill', damaged, 'a<mask>']);
  assert.equal(refused.code, 2);
  assert.match(
    refused.err,
    /model\.safetensors has SHA-256 [0-9a-f]+, expected [0-9a-f]+; no other checkpoint of the run is whole\n$/,
  );
});

async function flipLastBit(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(file, bytes);
}

/** What a command could be misled by, and how. `last`: the last byte, which leaves the file's size. */
const damages: [file: string, how: 'last' | 'cut' | 'ids'][] = [
  ['model.safetensors', 'last'],
  ['model.safetensors', 'cut'],
  ['config.json', 'last'],
  ['tokenizer.json', 'last'],
  ['tokenizer.json', 'ids'], // valid, and of the same size
  ['tokenizer_config.json', 'last'],
];

test('a damaged checkpoint is refused, by run and by path, with the newest that is whole, whatever is damaged in it', async () => {
  const write = (step: number): Promise<string> =>
    writeRun(at('rotten'), at('data'), masked, new Float32Array(0), step);
  const first = await write(3);
  const second = await write(6);
  for (const [file, how] of damages) {
    const damaged = path.join(second, file);
    const whole = await readFile(damaged);
    if (how === 'last') await flipLastBit(damaged);
    if (how === 'cut') await truncate(damaged, whole.length - 1);
    if (how === 'ids') await swapTokens(damaged);
    for (const given of [at('rotten'), second]) {
      const { code, err, out } = await lockstep(['fill', given, 'a<mask>']);
      const what = `${file} ${how}, ${given}: ${err}${out}`;
      assert.equal(code, 2, what);
      const named =
        /^error: (\S+) is not a valid checkpoint: (\S+) has .*; the newest .* that is whole is (\S+): name that one instead\n$/;
      assert.deepEqual(named.exec(err)?.slice(1), [second, file, first], what);
    }
    await writeFile(damaged, whole);
  }
  await flipLastBit(path.join(second, 'optimizer.safetensors'));
  const unread = await lockstep(['fill', at('rotten'), 'a<mask>']);
  assert.equal(unread.code, 0, unread.err);
  await flipLastBit(path.join(second, 'state.json'));
  await flipLastBit(path.join(first, 'tokenizer.json'));
  const hopeless = await lockstep(['fill', at('rotten'), 'a<mask>']);
  assert.match(hopeless.err, /; no other checkpoint of the run is whole\n$/);
});

/** Gives two letters each other's ids. */
async function swapTokens(file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const a = /"a": ?(\d+)/.exec(text)!;
  const b = /"b": ?(\d+)/.exec(text)!;
  await writeFile(
    file,
    text.replace(a[0], a[0].replace(a[1]!, b[1]!)).replace(b[0], b[0].replace(b[1]!, a[1]!)),
  );
}
