// A prepared data set, read by position: a sample is one or two small reads, and nothing is ever loaded whole.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Sample } from '../model/batch.js';
import { assert, messageOf, UserError } from '../util/errors.js';
import { MAX_OPEN, OpenFiles } from './open-files.js';
import {
  allFiles,
  INDEX_RECORD_BYTES,
  readManifest,
  TOKENIZER_FILE,
  type Manifest,
  type ManifestFile,
  type ShardEntry,
  type SplitName,
} from './manifest.js';

export interface Dataset {
  readonly directory: string;
  readonly manifest: Manifest;
  /** SHA-256 of the manifest, which holds the sums of all files: names the data exactly. */
  readonly sha256: string;
  /** Path of its tokenizer.json. */
  readonly tokenizerFile: string;
  readonly kind: 'text' | 'pairs';
  readonly vocabularySize: number;
  /** Samples of a part. `windowLength`: tokens of a text sample; not used for pairs. */
  split(name: SplitName, windowLength: number): Split;
  close(): Promise<void>;
}

export interface Split {
  readonly samples: number;
  /** Sample `index`: [tokens] of a text, [source, target] of a pair, without added end tokens. */
  read(index: number): Promise<Sample>;
}

/**
 * Opens a prepared folder: its manifest is checked, and the size of every file, but not their contents (`verifyDataset` does).
 * @throws UserError DATASET_NOT_FOUND, DATASET_INVALID, DATASET_DAMAGED (a file is missing or has another size)
 */
export async function openDataset(directory: string): Promise<Dataset> {
  const { manifest, sha256 } = await readManifest(directory);
  await Promise.all(allFiles(manifest).map((file) => checkSize(directory, file)));
  const files = new OpenFiles(directory, MAX_OPEN, () => expectSame(directory, sha256));
  return {
    directory,
    manifest,
    sha256,
    tokenizerFile: join(directory, TOKENIZER_FILE),
    kind: manifest.kind,
    vocabularySize: manifest.vocabularySize,
    split: (name, windowLength) =>
      manifest.kind === 'text'
        ? new TextSplit(files, manifest, name, windowLength)
        : new PairsSplit(files, manifest, name),
    close: () => files.close(),
  };
}

/** Throws UserError DATASET_CHANGED, or what readManifest throws, unless the folder is still the data set of that hash. */
async function expectSame(directory: string, sha256: string): Promise<void> {
  if ((await readManifest(directory)).sha256 === sha256) return;
  throw new UserError('DATASET_CHANGED', `${directory} was prepared again while it was in use`);
}

/**
 * Reads every file of a prepared folder and compares its SHA-256 with the manifest's.
 * @returns the number of files and bytes
 * @throws UserError DATASET_DAMAGED naming the first file that differs, and what `openDataset` throws
 */
export async function verifyDataset(directory: string): Promise<{ files: number; bytes: number }> {
  const { manifest } = await readManifest(directory);
  const files = allFiles(manifest);
  let bytes = 0;
  for (const file of files) {
    await checkSize(directory, file);
    const found = await sha256OfFile(join(directory, file.file));
    if (found !== file.sha256) {
      throw damaged(directory, file, `its SHA-256 is ${found}, the manifest says ${file.sha256}`);
    }
    bytes += file.bytes;
  }
  return { files: files.length, bytes };
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function checkSize(directory: string, file: ManifestFile): Promise<void> {
  const { size, problem } = await inspect(directory, file.file).catch((error: unknown) => {
    throw damaged(directory, file, messageOf(error));
  });
  if (problem) throw damaged(directory, file, problem);
  if (size !== file.bytes) throw damaged(directory, file, `expected ${file.bytes} bytes, found ${size}`);
}

/** A link may lead to another file of the folder, and nowhere else: what is listed could otherwise be any file. */
async function inspect(directory: string, file: string): Promise<{ size: number; problem: string | null }> {
  const [folder, target] = await Promise.all([realpath(directory), realpath(join(directory, file))]);
  const stats = await stat(target);
  if (dirname(target) !== folder)
    return { size: 0, problem: `it is a link to ${target}, outside of the folder` };
  return { size: stats.size, problem: stats.isFile() ? null : 'it is no regular file' };
}

function damaged(directory: string, file: ManifestFile, problem: string): UserError {
  return new UserError(
    'DATASET_DAMAGED',
    `${join(directory, file.file)} is not what the manifest says: ${problem}. Prepare the data again.`,
  );
}

/** Bytes read from a shard, as ids below the vocabulary's size. */
function decodeTokens(bytes: Buffer, manifest: Manifest, file: string): Int32Array {
  const { tokenBytes, vocabularySize } = manifest;
  const ids = new Int32Array(bytes.length / tokenBytes);
  for (let i = 0; i < ids.length; i++) {
    const id = tokenBytes === 2 ? bytes.readUInt16LE(i * 2) : bytes.readUInt32LE(i * 4);
    if (id >= vocabularySize) {
      throw new UserError(
        'DATASET_DAMAGED',
        `${file} holds the token ${id}, the vocabulary has ${vocabularySize}. Prepare the data again.`,
      );
    }
    ids[i] = id;
  }
  return ids;
}

/** Where each of a list of parts begins in their concatenation, and the total at the end. */
function startsOf(sizes: readonly number[]): number[] {
  const starts = [0];
  for (const size of sizes) starts.push(starts.at(-1)! + size);
  return starts;
}

/** The part that holds position `at`: the largest i with starts[i] ≤ at. Empty parts are never found. */
function partAt(starts: readonly number[], at: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! <= at) low = middle;
    else high = middle;
  }
  return low;
}

function checkIndex(index: number, samples: number): void {
  assert(Number.isInteger(index) && index >= 0 && index < samples, `sample ${index} of ${samples}`);
}

/**
 * Windows of a token stream: sample i is tokens [i · window, (i + 1) · window). What is left at the end is a
 * shorter sample if it has at least two tokens: with one there would be nothing to predict it from.
 */
class TextSplit implements Split {
  readonly samples: number;
  private readonly shards: readonly ShardEntry[];
  private readonly starts: readonly number[];
  private readonly tokens: number;

  constructor(
    private readonly files: OpenFiles,
    private readonly manifest: Manifest,
    name: SplitName,
    private readonly window: number,
  ) {
    assert(Number.isInteger(window) && window >= 1, `window of ${window} tokens`);
    const split = manifest.splits[name];
    this.shards = split.shards;
    this.tokens = split.tokens;
    this.starts = startsOf(split.shards.map((shard) => shard.tokens));
    this.samples = Math.floor(split.tokens / window) + (split.tokens % window >= 2 ? 1 : 0);
  }

  async read(index: number): Promise<Sample> {
    checkIndex(index, this.samples);
    const first = index * this.window;
    const end = Math.min(first + this.window, this.tokens);
    const ids = new Int32Array(end - first);
    for (let at = first; at < end;) {
      const part = partAt(this.starts, at);
      const shard = this.shards[part]!;
      const take = Math.min(end, this.starts[part + 1]!) - at;
      const { tokenBytes } = this.manifest;
      const bytes = await this.files.read(
        shard.file,
        (at - this.starts[part]!) * tokenBytes,
        take * tokenBytes,
      );
      ids.set(decodeTokens(bytes, this.manifest, shard.file), at - first);
      at += take;
    }
    return [ids];
  }
}

/** Pairs by their index records: sample i is the i-th pair. */
class PairsSplit implements Split {
  readonly samples: number;
  private readonly shards: readonly ShardEntry[];
  private readonly starts: readonly number[];

  constructor(
    private readonly files: OpenFiles,
    private readonly manifest: Manifest,
    name: SplitName,
  ) {
    const split = manifest.splits[name];
    this.shards = split.shards;
    this.samples = split.documents;
    this.starts = startsOf(split.shards.map((shard) => shard.pairs!));
  }

  async read(index: number): Promise<Sample> {
    checkIndex(index, this.samples);
    const part = partAt(this.starts, index);
    const shard = this.shards[part]!;
    const at = (index - this.starts[part]!) * INDEX_RECORD_BYTES;
    const record = await this.files.read(shard.index!.file, at, INDEX_RECORD_BYTES);
    const offset = Number(record.readBigUInt64LE(0));
    const source = record.readUInt32LE(8);
    const target = record.readUInt32LE(12);
    if (offset + source + target > shard.tokens) {
      throw new UserError(
        'DATASET_DAMAGED',
        `pair ${index - this.starts[part]!} of ${shard.index!.file} lies outside of ${shard.file}. Prepare the data again.`,
      );
    }
    const { tokenBytes } = this.manifest;
    const bytes = await this.files.read(shard.file, offset * tokenBytes, (source + target) * tokenBytes);
    const ids = decodeTokens(bytes, this.manifest, shard.file);
    return [ids.slice(0, source), ids.slice(source)];
  }
}
