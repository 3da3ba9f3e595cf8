// Opens a model for use: the newest checkpoint of a run, one checkpoint, or any Hugging Face directory of a Marian
// or Pegasus model in safetensors. Nothing is written, and a run may be training meanwhile.

import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { withHasher } from '../checkpoint/hash.js';
import { inspectManifest, MANIFEST } from '../checkpoint/manifest.js';
import { resolveModelDirectory } from '../checkpoint/run-directory.js';
import { SafetensorsFile } from '../checkpoint/safetensors.js';
import { readState, type CheckpointState } from '../checkpoint/state.js';
import { parseRunConfig } from '../config/load.js';
import type { RunConfig } from '../config/schema.js';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer.js';
import { loadEngine } from '../engine/engine.js';
import type { ModelConfig } from '../model/config.js';
import { fromHuggingFace } from '../model/hugging-face.js';
import { ModelParameters, parameterLayout, positionsName, type TensorSpec } from '../model/parameters.js';
import { sinusoidalPositions } from '../model/positions.js';
import { Transformer } from '../model/transformer.js';
import { messageOf, UserError } from '../util/errors.js';

export interface OpenModel {
  readonly directory: string;
  readonly config: ModelConfig;
  readonly transformer: Transformer;
  /** What the checkpoint says of its training; null for a model that was not trained here. */
  readonly state: CheckpointState | null;
  /** The config it was trained with; null together with `state`. */
  readonly run: RunConfig | null;
  /** Loads the tokenizer beside the model. Throws UserError TOKENIZER_MISSING, TOKENIZER_MISMATCH. */
  tokenizer(): Promise<Tokenizer>;
  dispose(): void;
}

const WEIGHTS = 'model.safetensors';
const TOKENIZER = 'tokenizer.json';

/** Tensors of other writers that repeat what the layout has, or that the model computes itself. */
const REDUNDANT = new Set([
  'lm_head.weight',
  'model.encoder.embed_tokens.weight',
  'model.decoder.embed_tokens.weight',
  positionsName('encoder'),
  positionsName('decoder'),
]);

export interface ModelOptions {
  /** Compute threads; 'auto': one per core. */
  readonly threads: number | 'auto';
  /** With the precision of the run that trained it, so that an evaluation finds what training found; default float32. */
  readonly asTrained?: boolean;
}

/**
 * Opens the model at `given`. The weights of a checkpoint are
 * compared with their checksum. Throws UserError MODEL_NOT_FOUND, CHECKPOINT_BAD, MODEL_CONFIG_INVALID,
 * MODEL_UNSUPPORTED, MODEL_MISMATCH, and those of safetensors files.
 */
export async function openModel(given: string, options: ModelOptions): Promise<OpenModel> {
  const directory = await resolveModelDirectory(given);
  const state = await checkedState(directory);
  const config = await readConfig(directory);
  const run = state && parseRunConfig(state.config, path.join(directory, 'state.json'));
  const threads = options.threads === 'auto' ? availableParallelism() : options.threads;
  const precision = options.asTrained && run ? run.precision : 'float32';
  const engine = await loadEngine('native', { threads, precision, emulate: true });
  const layout = parameterLayout(config);
  const flat = new Float32Array(engine.addon.allocate(4 * layout.total));
  await readWeights(path.join(directory, WEIGHTS), layout.tensors, config, flat);
  const parameters = new ModelParameters(engine, layout, flat);
  const transformer = new Transformer(config, parameters);
  return {
    directory,
    config,
    transformer,
    state,
    run,
    tokenizer: () => openTokenizer(directory, config),
    dispose() {
      transformer.dispose();
      parameters.dispose();
    },
  };
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** The state of a checkpoint whose weights have the sum in its manifest; null where neither is present. */
async function checkedState(directory: string): Promise<CheckpointState | null> {
  const isCheckpoint =
    (await exists(path.join(directory, MANIFEST))) ||
    (await exists(path.join(directory, 'optimizer.safetensors')));
  if (!isCheckpoint) return null;
  const found = await inspectManifest(directory);
  const bad = (problem: string): UserError =>
    new UserError('CHECKPOINT_BAD', `${directory} is not a valid checkpoint: ${problem}. Use an older one.`);
  if (found.status !== 'valid') throw bad(found.problem);
  const listed = found.manifest.files.find((file) => file.name === WEIGHTS);
  const sum = await withHasher((hash) => hash(path.join(directory, WEIGHTS)));
  if (sum !== listed?.sha256) {
    throw bad(`${WEIGHTS} has SHA-256 ${sum}, expected ${listed?.sha256 ?? 'it to be listed'}`);
  }
  return readState(directory);
}

async function readConfig(directory: string): Promise<ModelConfig> {
  const file = path.join(directory, 'config.json');
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new UserError('MODEL_CONFIG_INVALID', `${file}: expected a model's config, ${messageOf(error)}`, {
      cause: error,
    });
  }
  return fromHuggingFace(json, file);
}

/** Reads every tensor of the layout by its name; those of a checkpoint of ours lie in the same order. */
async function readWeights(
  file: string,
  tensors: readonly TensorSpec[],
  config: ModelConfig,
  flat: Float32Array,
): Promise<void> {
  const weights = await SafetensorsFile.open(file);
  try {
    const known = new Set(tensors.map((tensor) => tensor.name));
    for (const name of weights.header.tensors.keys()) {
      if (known.has(name) || REDUNDANT.has(name)) continue;
      throw new UserError('MODEL_MISMATCH', `${file}: the model of its config.json has no tensor ${name}`);
    }
    for (const spec of tensors) {
      const into = flat.subarray(spec.offset, spec.offset + spec.size);
      if (isComputed(spec.name) && !weights.header.tensors.has(spec.name)) {
        into.set(sinusoidalPositions(config.maxLength, config.width));
        continue;
      }
      const { shape } = weights.tensor(spec.name);
      if (shape.join() !== spec.shape.join()) {
        const message = `${file}: expected ${spec.name} to be [${spec.shape.join(', ')}], got [${shape.join(', ')}]`;
        throw new UserError('MODEL_MISMATCH', message);
      }
      await weights.read(spec.name, into);
    }
  } finally {
    await weights.close();
  }
}

/** Positions follow from their shape, so some writers leave them out. */
function isComputed(name: string): boolean {
  return name === positionsName('encoder') || name === positionsName('decoder');
}

async function openTokenizer(directory: string, config: ModelConfig): Promise<Tokenizer> {
  const file = path.join(directory, TOKENIZER);
  if (!(await exists(file))) {
    throw new UserError(
      'TOKENIZER_MISSING',
      `${directory} has no ${TOKENIZER}, so it cannot read or write text; only token ids can be scored with it`,
    );
  }
  const tokenizer = await loadTokenizer(file);
  if (tokenizer.vocabularySize > config.vocabularySize) {
    throw new UserError(
      'TOKENIZER_MISMATCH',
      `${file} has ${tokenizer.vocabularySize} tokens, the model only ${config.vocabularySize}`,
    );
  }
  return tokenizer;
}
