// A model in a folder, opened to be used: its weights in an engine, and the tokenizer beside it. Nothing is written, and the
// run that it belongs to may be training meanwhile.
import { nameOf, type Folder } from '../checkpoint/folder.js';
import type { CheckpointState } from '../checkpoint/state.js';
import { parseTokenizer, type Tokenizer } from '../data/tokenizer.js';
import { loadEngine } from '../engine/load.js';
import type { Precision } from '../engine/names.js';
import { UserError } from '../util/errors.js';
import type { ModelConfig } from './config.js';
import { ModelParameters, parameterLayout } from './parameters.js';
import { StoredModel } from './stored-model.js';
import { Transformer } from './transformer.js';

export interface OpenModel {
  readonly folder: Folder;
  readonly config: ModelConfig;
  readonly transformer: Transformer;
  /** What the checkpoint says of its training; null for a model that was not trained here. */
  readonly state: CheckpointState | null;
  /** Loads the tokenizer beside the model. Throws UserError TOKENIZER_MISSING, TOKENIZER_MISMATCH, CHECKPOINT_BAD. */
  tokenizer(): Promise<Tokenizer>;
  dispose(): void;
}

export interface ModelEngine {
  readonly threads: number;
  /** Given what the checkpoint says of its training; null for a model that was not trained here. */
  readonly precisionOf: (state: CheckpointState | null) => Precision;
}

/**
 * Opens the model in `folder`. What is read of a checkpoint is compared with its checksums.
 * Throws what StoredModel throws.
 */
export async function openModel(folder: Folder, { threads, precisionOf }: ModelEngine): Promise<OpenModel> {
  const stored = await StoredModel.open(folder);
  const { config, state } = stored;
  const engine = await loadEngine('native', { threads, precision: precisionOf(state), emulate: true });
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
    tokenizer: () => openTokenizer(stored),
    dispose() {
      transformer.dispose();
      parameters.dispose();
    },
  };
}

const TOKENIZER = 'tokenizer.json';

async function openTokenizer(stored: StoredModel): Promise<Tokenizer> {
  const { folder, config } = stored;
  const text = await stored.text(TOKENIZER);
  if (text === null) {
    throw new UserError(
      'TOKENIZER_MISSING',
      `${folder.url} has no ${TOKENIZER}, so it cannot read or write text; only token ids can be scored with it`,
    );
  }
  const file = nameOf(folder, TOKENIZER);
  const tokenizer = parseTokenizer(text, await stored.text('tokenizer_config.json'), file);
  if (tokenizer.vocabularySize > config.vocabularySize) {
    throw new UserError(
      'TOKENIZER_MISMATCH',
      `${file} has ${tokenizer.vocabularySize} tokens, the model only ${config.vocabularySize}`,
    );
  }
  return tokenizer;
}
