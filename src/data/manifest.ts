// manifest.json of a prepared data set: what is in the folder, with sizes and SHA-256 sums. It is written last,
// so a folder without it is not a data set.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, UserError } from '../util/errors.js';
import { noDataset } from './no-dataset.js';

export const MANIFEST_FILE = 'manifest.json';
export const TOKENIZER_FILE = 'tokenizer.json';
export const TOKENIZER_CONFIG_FILE = 'tokenizer_config.json';
export const DATASET_FORMAT = 'lockstep-dataset';
export const DATASET_VERSION = 1;

const count = z.int().nonnegative();
// A plain name: no separators and no leading dot, so that no path leads out of the folder.
const fileName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, 'expected a file name without a path');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');

const fileSchema = z.strictObject({ file: fileName, bytes: count, sha256 });

const shardSchema = fileSchema.extend({
  tokens: count,
  /** Pairs only: how many, and the file of their lengths and offsets. */
  pairs: count.optional(),
  index: fileSchema.optional(),
});

const splitSchema = z.strictObject({
  tokens: count,
  /** Pairs; of text the stretches that end with an end token: documents, and what is left of one between held-out parts. */
  documents: count,
  shards: z.array(shardSchema),
});

const manifestSchema = z.strictObject({
  format: z.literal(DATASET_FORMAT),
  version: z.literal(DATASET_VERSION),
  kind: z.enum(['text', 'pairs']),
  vocabularySize: z
    .int()
    .min(1)
    .max(2 ** 31),
  tokenBytes: z.union([z.literal(2), z.literal(4)]),
  padId: count,
  endId: count,
  maskId: count,
  specialIds: z.array(count),
  splits: z.strictObject({ train: splitSchema, validation: splitSchema }),
  /**
   * Cross-entropy of the validation tokens, in nats per token, under the frequencies of the training tokens with one
   * added to each (Laplace): what a model that knows nothing but frequencies reaches. Over all tokens that can be
   * targets: for text all with the end tokens, for pairs those of the targets, each with its end token. Null
   * without a validation token.
   */
  unigramNats: z.number().nonnegative().nullable(),
  /** What was read. Bytes are of the text, after decompression. */
  input: z.strictObject({ files: count, bytes: count, lines: count, malformed: count }),
  files: z.array(fileSchema),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestFile = z.infer<typeof fileSchema>;
export type ShardEntry = z.infer<typeof shardSchema>;
export type SplitEntry = z.infer<typeof splitSchema>;
export type SplitName = 'train' | 'validation';

/** Bytes of a pair's record in an index file: offset in the shard (tokens, uint64), source and target length (uint32). */
export const INDEX_RECORD_BYTES = 16;

/**
 * The manifest of a prepared folder, checked by itself (not against the files), and the SHA-256 of its bytes, which names the data set.
 * @throws UserError DATASET_NOT_FOUND, DATASET_INVALID
 */
export async function readManifest(directory: string): Promise<{ manifest: Manifest; sha256: string }> {
  const path = join(directory, MANIFEST_FILE);
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw await noDataset(directory, MANIFEST_FILE, error);
  }
  const manifest = parseManifest(bytes.toString('utf8'), path);
  return { manifest, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** @throws UserError DATASET_INVALID, naming the key. */
export function parseManifest(text: string, path: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(path, messageOf(error));
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw invalid(path, `${issue.path.join('.') || 'the whole'}: ${issue.message}`);
  }
  const problem = inconsistency(parsed.data);
  if (problem !== null) throw invalid(path, problem);
  return parsed.data;
}

function invalid(path: string, problem: string): UserError {
  return new UserError(
    'DATASET_INVALID',
    `${path} is not a manifest of a data set: ${problem}. Prepare it again.`,
  );
}

/** What a manifest's numbers must satisfy among themselves; null when they do. */
function inconsistency(manifest: Manifest): string | null {
  const { vocabularySize, tokenBytes, kind } = manifest;
  if (tokenBytes === 2 && vocabularySize > 65536) return `${vocabularySize} tokens do not fit 2 bytes`;
  for (const id of [manifest.padId, manifest.endId, manifest.maskId, ...manifest.specialIds]) {
    if (id >= vocabularySize) return `token ${id} is outside of the vocabulary of ${vocabularySize}`;
  }
  const names = new Set<string>();
  for (const { file } of allFiles(manifest)) {
    if (names.has(file) || file === MANIFEST_FILE) return `the file ${file} is listed twice`;
    names.add(file);
  }
  if (!names.has(TOKENIZER_FILE)) return `the file ${TOKENIZER_FILE} is not listed`;
  for (const [name, split] of Object.entries(manifest.splits)) {
    const problem = splitInconsistency(split, kind, tokenBytes);
    if (problem !== null) return `splits.${name}: ${problem}`;
  }
  return null;
}

function splitInconsistency(split: SplitEntry, kind: Manifest['kind'], tokenBytes: number): string | null {
  let tokens = 0;
  let pairs = 0;
  for (const shard of split.shards) {
    if (shard.bytes !== shard.tokens * tokenBytes) {
      return `${shard.file} has ${shard.bytes} bytes for ${shard.tokens} tokens of ${tokenBytes}`;
    }
    if ((kind === 'pairs') !== (shard.pairs !== undefined && shard.index !== undefined)) {
      return `${shard.file}: expected ${kind === 'pairs' ? 'an' : 'no'} index of pairs`;
    }
    if (shard.index && shard.index.bytes !== shard.pairs! * INDEX_RECORD_BYTES) {
      return `${shard.index.file} has ${shard.index.bytes} bytes for ${shard.pairs} pairs`;
    }
    tokens += shard.tokens;
    pairs += shard.pairs ?? 0;
  }
  if (tokens !== split.tokens) return `${split.tokens} tokens, but its shards have ${tokens}`;
  if (kind === 'pairs' && pairs !== split.documents)
    return `${split.documents} pairs, but its shards have ${pairs}`;
  return null;
}

/** Every file of the data set but the manifest. */
export function allFiles(manifest: Manifest): ManifestFile[] {
  const shards = [...manifest.splits.train.shards, ...manifest.splits.validation.shards];
  return [...manifest.files, ...shards, ...shards.flatMap((shard) => (shard.index ? [shard.index] : []))];
}
