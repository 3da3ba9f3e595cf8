// Makes a data set of text or of pairs: finds the input, trains a tokenizer or takes one, and writes token shards with a
// manifest. Two passes over the input (one with a given tokenizer), each in pieces that a pool of threads works on; the
// results are used in the order of the pieces, so that the bytes written do not depend on the number of threads.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { UserError } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { everyNth, inOrder } from './in-order.js';
import { LineTally, type MalformedPlace } from './line-tally.js';
import {
  DATASET_FORMAT,
  DATASET_VERSION,
  MANIFEST_FILE,
  TOKENIZER_CONFIG_FILE,
  TOKENIZER_FILE,
  type Manifest,
  type ManifestFile,
  type SplitName,
} from './manifest.js';
import { openOutput } from './output-directory.js';
import { readPieces, type Piece } from './pieces.js';
import type { PrepareOptions } from './prepare-options.js';
import { planOf, type Plan, type TokenizerPlan } from './prepare-plan.js';
import type { CountResult, CountTask, EncodedPart, EncodeResult, EncodeTask } from './prepare-worker.js';
import { ShardWriter, writeHashed } from './shard-writer.js';
import {
  DEFAULT_SPECIAL_TOKENS,
  loadTokenizer,
  type SpecialTokenNames,
  type Tokenizer,
} from './tokenizer.js';
import { specialTokensOf, tokenizerConfigJson, trainTokenizer } from './train-tokenizer.js';
import { UnigramCounts } from './unigram.js';
import { WordCounts } from './word-counts.js';

/** `count` and `encode` are in bytes read from disk, `train-tokenizer` in merges. */
export interface PrepareProgress {
  readonly phase: 'count' | 'train-tokenizer' | 'encode';
  readonly done: number;
  readonly total: number;
}

export interface PrepareSummary {
  readonly directory: string;
  readonly kind: 'text' | 'pairs';
  readonly vocabularySize: number;
  readonly train: { readonly tokens: number; readonly documents: number };
  readonly validation: { readonly tokens: number; readonly documents: number };
  /** See the manifest. */
  readonly unigramNats: number | null;
  readonly input: Manifest['input'];
  /** The first lines that were left out. */
  readonly firstMalformed: readonly MalformedPlace[];
  /** Another data set was in the folder, and is gone. */
  readonly replaced: boolean;
}

/** What every phase needs. */
interface Job {
  readonly plan: Plan;
  /** The folder being filled. */
  readonly directory: string;
  readonly pool: Piscina;
  readonly report: (progress: PrepareProgress) => void;
}

/**
 * Prepares a data set. Nothing is left behind when it fails or is aborted.
 * @throws UserError INPUT_… for what is wrong with the input, OUT_… with the output folder, TOKENIZER_…, SPECIAL_TOKEN_INVALID,
 *   VOCABULARY_TOO_SMALL; the signal's reason when aborted
 */
export async function prepare(
  options: PrepareOptions,
  onProgress: (progress: PrepareProgress) => void = () => {},
): Promise<PrepareSummary> {
  const plan = await planOf(options);
  const output = await openOutput(
    plan.out,
    plan.inputs.map((input) => input.path),
    plan.force,
  );
  // The engine's own threads would come on top of the pool's. It reads this variable whenever it encodes a batch.
  process.env.TOKENIZERS_PARALLELISM ??= 'false';
  const pool = new Piscina({
    filename: new URL('./prepare-worker.js', import.meta.url).href,
    minThreads: plan.threads,
    maxThreads: plan.threads,
  });
  try {
    const summary = await run({ plan, directory: output.working, pool, report: onProgress });
    return { ...summary, replaced: await output.publish() };
  } catch (error) {
    await output.discard();
    throw error;
  } finally {
    await pool.destroy();
  }
}

async function run(job: Job): Promise<Omit<PrepareSummary, 'replaced'>> {
  const { plan, directory } = job;
  const { json, names } = await tokenizerJsonOf(job, plan.tokenizer);
  const files = [await writeHashed(directory, TOKENIZER_FILE, json)];
  const path = join(directory, TOKENIZER_FILE);
  const tokenizer = await loadTokenizer(path, names);
  files.push(
    await writeHashed(directory, TOKENIZER_CONFIG_FILE, tokenizerConfigJson(tokenizer.specialTokens)),
  );
  const encoded = await encodeInputs(job, tokenizer, path);
  const manifest = manifestOf(plan, tokenizer, files, encoded);
  await writeHashed(directory, MANIFEST_FILE, jsonText(manifest));
  const { train, validation } = manifest.splits;
  return {
    directory: plan.out,
    kind: manifest.kind,
    vocabularySize: manifest.vocabularySize,
    train: { tokens: train.tokens, documents: train.documents },
    validation: { tokens: validation.tokens, documents: validation.documents },
    unigramNats: manifest.unigramNats,
    input: manifest.input,
    firstMalformed: encoded.tally.first,
  };
}

// ---- the tokenizer

interface TokenizerText {
  readonly json: string;
  readonly names: SpecialTokenNames;
}

async function tokenizerJsonOf(job: Job, plan: TokenizerPlan): Promise<TokenizerText> {
  if (plan.kind === 'train') return { json: await newTokenizer(job, plan), names: DEFAULT_SPECIAL_TOKENS };
  const { specialTokens } = await loadTokenizer(plan.file, plan.names);
  return { json: await readFile(plan.file, 'utf8'), names: specialTokens };
}

async function newTokenizer(job: Job, tokenizer: Extract<TokenizerPlan, { kind: 'train' }>): Promise<string> {
  const words = await countInputWords(job, tokenizer);
  const total = tokenizer.vocabularySize;
  const report = (done: number): void => job.report({ phase: 'train-tokenizer', done, total });
  const json = await trainTokenizer(words.entries(), total, tokenizer.specialTokens, async (share) => {
    report(Math.round(share * total));
    // Lets a signal in.
    await setImmediate();
    job.plan.signal?.throwIfAborted();
  });
  report(total);
  return json;
}

// Text compresses to about a third.
const GZIP_RATIO = 3;

async function countInputWords(
  job: Job,
  tokenizer: Extract<TokenizerPlan, { kind: 'train' }>,
): Promise<WordCounts> {
  const { inputs, records, maxMalformedShare, diskBytes } = job.plan;
  const textBytes = inputs.reduce((total, { bytes, gzip }) => total + bytes * (gzip ? GZIP_RATIO : 1), 0);
  const stride = Math.max(1, Math.ceil(textBytes / tokenizer.bytes));
  const specialTokens = specialTokensOf(tokenizer.specialTokens);
  const words = new WordCounts();
  const tally = new LineTally(inputs);
  const results = inOrder(everyNth(pieces(job), stride), job.plan.threads, (piece) =>
    task<CountTask, CountResult>(job, 'countWords', { piece, records, specialTokens }),
  );
  for await (const [piece, result] of results) {
    tally.add(piece, result);
    words.merge(result.words);
    job.report({ phase: 'count', done: piece.diskBytes, total: diskBytes });
  }
  // Line numbers are known only when every piece was read; the second pass reads them all.
  if (stride === 1) tally.check(maxMalformedShare);
  return words;
}

// ---- tokens

interface Encoded {
  readonly tally: LineTally;
  readonly bytes: number;
  readonly unigramNats: number | null;
  readonly splits: Manifest['splits'];
}

async function encodeInputs(job: Job, tokenizer: Tokenizer, tokenizerFile: string): Promise<Encoded> {
  const { plan } = job;
  const { records, threads, diskBytes } = plan;
  const writers = {
    train: writerOf(job, 'train', tokenizer),
    validation: writerOf(job, 'validation', tokenizer),
  };
  const unigrams = new UnigramCounts(tokenizer.vocabularySize);
  const tally = new LineTally(plan.inputs);
  let bytes = 0;
  try {
    const { endId } = tokenizer;
    const results = inOrder(pieces(job), threads, (piece) =>
      task<EncodeTask, EncodeResult>(job, 'encodePiece', { piece, records, tokenizerFile, endId }),
    );
    for await (const [piece, result] of results) {
      tally.add(piece, result);
      for (const split of ['train', 'validation'] as const) {
        await writePart(writers[split], records.pairs, result[split]);
        countTargets(unigrams, split, records.pairs, result[split], endId);
      }
      bytes = piece.offset + piece.bytes.length;
      job.report({ phase: 'encode', done: piece.diskBytes, total: diskBytes });
    }
    tally.check(plan.maxMalformedShare);
    const splits = { train: await writers.train.finish(), validation: await writers.validation.finish() };
    if (splits.train.tokens === 0) throw emptyInput(plan, tally);
    return { tally, bytes, unigramNats: unigrams.nats(), splits };
  } finally {
    await writers.train.abandon();
    await writers.validation.abandon();
  }
}

function tokenBytesOf(tokenizer: Tokenizer): 2 | 4 {
  return tokenizer.vocabularySize <= 2 ** 16 ? 2 : 4;
}

function writerOf({ plan, directory }: Job, split: SplitName, tokenizer: Tokenizer): ShardWriter {
  const tokenBytes = tokenBytesOf(tokenizer);
  const shardTokens = Math.floor(plan.shardBytes / tokenBytes);
  return new ShardWriter({ directory, split, tokenBytes, pairs: plan.records.pairs, shardTokens });
}

async function writePart(writer: ShardWriter, pairs: boolean, part: EncodedPart): Promise<void> {
  if (pairs) await writer.writePairs(part.ids, part.lengths);
  else await writer.writeText(part.ids, part.documents);
}

/** Counts what a model will have to predict: all text, or the targets and the end of each. */
function countTargets(
  counts: UnigramCounts,
  split: SplitName,
  pairs: boolean,
  part: EncodedPart,
  endId: number,
): void {
  if (!pairs) {
    counts.add(split, part.ids);
    return;
  }
  let at = 0;
  for (let pair = 0; pair < part.lengths.length; pair += 2) {
    const target = at + part.lengths[pair]!;
    at = target + part.lengths[pair + 1]!;
    counts.add(split, part.ids.subarray(target, at));
    counts.add(split, [endId]);
  }
}

function emptyInput(plan: Plan, tally: LineTally): UserError {
  const problem = tally.lines === 0 ? 'it is empty' : 'all of it is empty or held out for validation';
  return new UserError(
    'INPUT_EMPTY',
    `no training text in the ${plan.inputs.length} input files: ${problem}.`,
  );
}

function manifestOf(plan: Plan, tokenizer: Tokenizer, files: ManifestFile[], encoded: Encoded): Manifest {
  const { padId, endId, maskId, specialIds, vocabularySize } = tokenizer;
  const { tally, bytes, unigramNats, splits } = encoded;
  return {
    format: DATASET_FORMAT,
    version: DATASET_VERSION,
    kind: plan.records.pairs ? 'pairs' : 'text',
    vocabularySize,
    tokenBytes: tokenBytesOf(tokenizer),
    padId,
    endId,
    maskId,
    specialIds: [...specialIds],
    splits,
    unigramNats,
    input: { files: plan.inputs.length, bytes, lines: tally.lines, malformed: tally.malformed },
    files,
  };
}

// ---- pieces through the pool

async function* pieces({ plan }: Job): AsyncGenerator<Piece> {
  const { heldOutShare } = plan.records;
  for await (const piece of readPieces(plan.inputs, { heldOutShare, pieceBytes: plan.pieceBytes })) {
    plan.signal?.throwIfAborted();
    yield piece;
  }
}

function task<Task, Result>({ pool }: Job, name: string, input: Task): Promise<Result> {
  return pool.run(input, { name }) as Promise<Result>;
}
