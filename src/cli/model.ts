// Opens a model for use: the newest checkpoint of a run, one checkpoint, or any Hugging Face directory of a Marian
// or Pegasus model in safetensors. Nothing is written, and a run may be training meanwhile.

import { availableParallelism } from 'node:os';
import { nameOf, readText, type Folder } from '../checkpoint/folder.js';
import { openFolder } from '../checkpoint/open-folder.js';
import { resolveModel } from '../checkpoint/run-directory.js';
import type { CheckpointState } from '../checkpoint/state.js';
import { parseRunConfig } from '../config/load.js';
import type { RunConfig } from '../config/schema.js';
import { parseTokenizer, type Tokenizer } from '../data/tokenizer.js';
import { loadEngine } from '../engine/engine.js';
import type { ModelConfig } from '../model/config.js';
import { ModelParameters, parameterLayout } from '../model/parameters.js';
import { StoredModel } from '../model/stored-model.js';
import { Transformer } from '../model/transformer.js';
import { UserError } from '../util/errors.js';

export interface OpenModel {
  readonly folder: Folder;
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

const TOKENIZER = 'tokenizer.json';

export interface ModelOptions {
  /** Compute threads; 'auto': one per core. */
  readonly threads: number | 'auto';
  /** With the precision of the run that trained it, so that an evaluation finds what training found; default float32. */
  readonly asTrained?: boolean;
}

/**
 * Opens the model at `given`. The weights of a checkpoint are compared with their checksum.
 * Throws UserError MODEL_NOT_FOUND, and what StoredModel throws.
 */
export async function openModel(given: string, options: ModelOptions): Promise<OpenModel> {
  const folder = await resolveModel(await openFolder(given));
  const stored = await StoredModel.open(folder);
  const { config, state } = stored;
  const run = state && parseRunConfig(state.config, nameOf(folder, 'state.json'));
  const threads = options.threads === 'auto' ? availableParallelism() : options.threads;
  const precision = options.asTrained && run ? run.precision : 'float32';
  const engine = await loadEngine('native', { threads, precision, emulate: true });
  const layout = parameterLayout(config);
  const flat = new Float32Array(engine.addon.allocate(4 * layout.total));
  await stored.readWeights(layout.tensors, flat);
  const parameters = new ModelParameters(engine, layout, flat);
  const transformer = new Transformer(config, parameters);
  return {
    folder,
    config,
    transformer,
    state,
    run,
    tokenizer: () => openTokenizer(folder, config),
    dispose() {
      transformer.dispose();
      parameters.dispose();
    },
  };
}

async function openTokenizer(folder: Folder, config: ModelConfig): Promise<Tokenizer> {
  const text = await readText(folder, TOKENIZER);
  if (text === null) {
    throw new UserError(
      'TOKENIZER_MISSING',
      `${folder.url} has no ${TOKENIZER}, so it cannot read or write text; only token ids can be scored with it`,
    );
  }
  const file = nameOf(folder, TOKENIZER);
  const tokenizer = parseTokenizer(text, await readText(folder, 'tokenizer_config.json'), file);
  if (tokenizer.vocabularySize > config.vocabularySize) {
    throw new UserError(
      'TOKENIZER_MISMATCH',
      `${file} has ${tokenizer.vocabularySize} tokens, the model only ${config.vocabularySize}`,
    );
  }
  return tokenizer;
}
