// A model in a folder, with its weights in safetensors: a checkpoint of ours, or any Hugging Face directory of a Marian
// or Pegasus model.

import { nameOf, readText, type Folder } from '../checkpoint/folder.js';
import { CheckpointReader } from '../checkpoint/load.js';
import { MANIFEST } from '../checkpoint/manifest.js';
import { MODEL_FILE, OPTIMIZER_FILE } from '../checkpoint/names.js';
import { SafetensorsFile } from '../checkpoint/safetensors.js';
import type { CheckpointState } from '../checkpoint/state.js';
import { messageOf, UserError } from '../util/errors.js';
import type { ModelConfig } from './config.js';
import { fromHuggingFace } from './hugging-face.js';
import { positionsName, type TensorSpec } from './parameters.js';
import { sinusoidalPositions } from './positions.js';

const CONFIG_FILE = 'config.json';

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
    private readonly folder: Folder,
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
    return new StoredModel(folder, await readConfig(folder), state, checkpoint);
  }

  /**
   * Reads every tensor of the layout into its place. Throws UserError CHECKPOINT_BAD, MODEL_MISMATCH, and those of
   * safetensors files.
   */
  async readWeights(layout: readonly TensorSpec[], flat: Float32Array): Promise<void> {
    const read = (tensors: SafetensorsFile): Promise<void> => readAll(tensors, layout, this.config, flat);
    if (this.checkpoint !== null) return this.checkpoint.readTensors(MODEL_FILE, read);
    const tensors = await SafetensorsFile.open(this.folder, MODEL_FILE);
    try {
      await read(tensors);
    } finally {
      await tensors.close();
    }
  }
}

async function readConfig(folder: Folder): Promise<ModelConfig> {
  const file = nameOf(folder, CONFIG_FILE);
  const text = await readText(folder, CONFIG_FILE);
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

/** By their names; those of a checkpoint of ours lie in the same order. */
async function readAll(
  weights: SafetensorsFile,
  layout: readonly TensorSpec[],
  config: ModelConfig,
  flat: Float32Array,
): Promise<void> {
  const file = weights.path;
  const known = new Set(layout.map((tensor) => tensor.name));
  for (const name of weights.header.tensors.keys()) {
    if (known.has(name) || REDUNDANT.has(name)) continue;
    throw new UserError('MODEL_MISMATCH', `${file}: the model of its config.json has no tensor ${name}`);
  }
  for (const spec of layout) {
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
}

/** Positions follow from their shape, so some writers leave them out. */
function isComputed(name: string): boolean {
  return name === positionsName('encoder') || name === positionsName('decoder');
}
