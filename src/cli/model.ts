// Opens a model that a user names: the newest checkpoint of a run, one checkpoint, or any Hugging Face directory of a Marian
// or Pegasus model in safetensors.

import { availableParallelism } from 'node:os';
import { nameOf, type Folder } from '../checkpoint/folder.js';
import { openFolder } from '../checkpoint/open-folder.js';
import { resolveModel } from '../checkpoint/run-directory.js';
import type { CheckpointState } from '../checkpoint/state.js';
import { withWayOut } from '../checkpoint/way-out.js';
import { parseRunConfig } from '../config/load.js';
import type { RunConfig } from '../config/schema.js';
import { openModel, type OpenModel } from '../model/open-model.js';
import { locate } from './locate.js';

export interface GivenModel extends OpenModel {
  /** The config it was trained with; null together with `state`. */
  readonly run: RunConfig | null;
}

export interface ModelOptions {
  /** Compute threads; 'auto': one per core. */
  readonly threads: number | 'auto';
  /** In bfloat16 if it was trained so, so that an evaluation finds what training found; default float32, which others are close to. */
  readonly asTrained?: boolean;
}

/**
 * Opens the model at `given`: a folder, a URL, or the name of a folder under runs/. Throws UserError MODEL_NOT_FOUND, and what
 * opening a model throws.
 */
export async function openGivenModel(given: string, options: ModelOptions): Promise<GivenModel> {
  const place = await openFolder(await locate(given));
  const refused = async (error: unknown): Promise<never> => {
    throw await withWayOut(error, place);
  };
  const model = await openAt(place, options).catch(refused);
  return {
    ...model,
    run: runOf(model.state, model.folder),
    tokenizer: () => model.tokenizer().catch(refused),
  };
}

async function openAt(place: Folder, { threads, asTrained }: ModelOptions): Promise<OpenModel> {
  const folder = await resolveModel(place, { damaged: 'refuse' });
  return openModel(folder, {
    threads: threads === 'auto' ? availableParallelism() : threads,
    precisionOf: (state) =>
      asTrained && runOf(state, folder)?.precision === 'bfloat16' ? 'bfloat16' : 'float32',
  });
}

function runOf(state: CheckpointState | null, folder: Folder): RunConfig | null {
  return state && parseRunConfig(state.config, nameOf(folder, 'state.json'));
}
