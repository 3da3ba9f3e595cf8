// A model in a folder, with its weights in safetensors: a checkpoint of ours, or any Hugging Face directory of a Marian
// or Pegasus model.

import { z } from 'zod';
import { nameOf, readText, type Folder } from '../checkpoint/folder.js';
import { CheckpointReader } from '../checkpoint/load.js';
import { MANIFEST } from '../checkpoint/manifest.js';
import { INDEX_FILE, MODEL_FILE, OPTIMIZER_FILE } from '../checkpoint/names.js';
import { SafetensorsFile } from '../checkpoint/safetensors.js';
import type { CheckpointState } from '../checkpoint/state.js';
import { messageOf, UserError } from '../util/errors.js';
import type { ModelConfig } from './config.js';
import { fromHuggingFace } from './hugging-face.js';
import { positionsName, type TensorSpec } from './parameters.js';
import { sinusoidalPositions } from './positions.js';

const CONFIG_FILE = 'config.json';

const indexSchema = z.object({
  weight_map: z.record(z.string(), z.string().regex(/^[\w.-]+\.safetensors$/)),
});

/** Tensors of other writers that repeat what the layout has, or that the model computes itself. */
const REDUNDANT = new Set([
  'lm_head.weight',
  'model.encoder.embed_tokens.weight',
  'model.decoder.embed_tokens.weight',
  positionsName('encoder'),
  positionsName('decoder'),
]);

export class StoredModel {
  private constructor(
    readonly folder: Folder,
    readonly config: ModelConfig,
    /** What the checkpoint says of its training; null for a model that was not trained here. */
    readonly state: CheckpointState | null,
    private readonly checkpoint: CheckpointReader | null,
  ) {}

  /** Throws UserError CHECKPOINT_BAD, MODEL_CONFIG_INVALID, MODEL_UNSUPPORTED. */
  static async open(folder: Folder): Promise<StoredModel> {
    const names = (await folder.list()).map(({ name }) => name);
    const isCheckpoint = names.includes(MANIFEST) || names.includes(OPTIMIZER_FILE);
    const checkpoint = isCheckpoint ? await CheckpointReader.open(folder) : null;
    const state = checkpoint === null ? null : await checkpoint.state();
    const config = readConfig(nameOf(folder, CONFIG_FILE), await textIn(folder, checkpoint, CONFIG_FILE));
    return new StoredModel(folder, config, state, checkpoint);
  }

  /** Text of a small file beside the weights; null when there is none. Throws UserError CHECKPOINT_BAD. */
  text(name: string): Promise<string | null> {
    return textIn(this.folder, this.checkpoint, name);
  }

  /**
   * Reads every tensor of the layout into its place. Throws UserError CHECKPOINT_BAD, MODEL_MISMATCH, and those of
   * safetensors files.
   */
  async readWeights(layout: readonly TensorSpec[], flat: Float32Array): Promise<void> {
    const { folder, config, checkpoint } = this;
    const read = (files: readonly SafetensorsFile[]): Promise<void> =>
      readAll(folder.url, files, layout, config, flat);
    if (checkpoint !== null) return checkpoint.readTensors(MODEL_FILE, (tensors) => read([tensors]));
    const files: SafetensorsFile[] = [];
    try {
      for (const name of await weightFiles(folder)) files.push(await SafetensorsFile.open(folder, name));
      await read(files);
    } finally {
      for (const file of files) await file.close();
    }
  }
}

/** A checkpoint's own files are compared with their sums. */
async function textIn(
  folder: Folder,
  checkpoint: CheckpointReader | null,
  name: string,
): Promise<string | null> {
  if (!checkpoint?.lists(name)) return readText(folder, name);
  return new TextDecoder().decode(await checkpoint.read(name));
}

/** The files that hold a model's weights: one, or those that an index names. */
async function weightFiles(folder: Folder): Promise<string[]> {
  const text = await readText(folder, INDEX_FILE);
  if (text === null) return [MODEL_FILE];
  try {
    const index = indexSchema.parse(JSON.parse(text));
    return [...new Set(Object.values(index.weight_map))].sort();
  } catch (error) {
    const message = `${nameOf(folder, INDEX_FILE)}: expected a weight_map of tensors to files beside it`;
    throw new UserError('MODEL_INDEX_INVALID', message, { cause: error });
  }
}

function readConfig(file: string, text: string | null): ModelConfig {
  let json: unknown;
  try {
    if (text === null) throw new Error('there is none');
    json = JSON.parse(text);
  } catch (error) {
    const message = `${file}: expected a model's config, ${messageOf(error)}`;
    throw new UserError('MODEL_CONFIG_INVALID', message, { cause: error });
  }
  return fromHuggingFace(json, file);
}

/** By their names; those of a checkpoint of ours lie in the same order. `where` names the model. */
async function readAll(
  where: string,
  files: readonly SafetensorsFile[],
  layout: readonly TensorSpec[],
  config: ModelConfig,
  flat: Float32Array,
): Promise<void> {
  const known = new Set(layout.map((tensor) => tensor.name));
  const fileOf = new Map(
    files.flatMap((file) => [...file.header.tensors.keys()].map((name) => [name, file])),
  );
  for (const [name, file] of fileOf) {
    if (known.has(name) || REDUNDANT.has(name)) continue;
    throw new UserError('MODEL_MISMATCH', `${file.path}: the model of its config.json has no tensor ${name}`);
  }
  for (const spec of layout) {
    const into = flat.subarray(spec.offset, spec.offset + spec.size);
    const file = fileOf.get(spec.name);
    if (file === undefined) {
      if (!isComputed(spec.name)) {
        throw new UserError(
          'SAFETENSORS_TENSOR_MISSING',
          `${where} has no tensor ${JSON.stringify(spec.name)}`,
        );
      }
      into.set(sinusoidalPositions(config.maxLength, config.width));
      continue;
    }
    const { shape } = file.tensor(spec.name);
    if (shape.join() !== spec.shape.join()) {
      const message = `${file.path}: expected ${spec.name} to be [${spec.shape.join(', ')}], got [${shape.join(', ')}]`;
      throw new UserError('MODEL_MISMATCH', message);
    }
    await file.read(spec.name, into);
  }
}

/** Positions follow from their shape, so some writers leave them out. */
function isComputed(name: string): boolean {
  return name === positionsName('encoder') || name === positionsName('decoder');
}
