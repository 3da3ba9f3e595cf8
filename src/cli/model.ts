// Opens a model that a user names: the newest checkpoint of a run, one checkpoint, or any Hugging Face directory of a Marian
// or Pegasus model in safetensors.

import { availableParallelism } from 'node:os';
import { nameOf, type Folder } from '../checkpoint/folder.js';
import { newestWhole } from '../checkpoint/list.js';
import { openFolder } from '../checkpoint/open-folder.js';
import { checkpointsOf, resolveModel } from '../checkpoint/run-directory.js';
import type { CheckpointState } from '../checkpoint/state.js';
import { verifyCheckpoint } from '../checkpoint/verify.js';
import { parseRunConfig } from '../config/load.js';
import type { RunConfig } from '../config/schema.js';
import { openModel, type OpenModel } from '../model/open-model.js';
import { UserError } from '../util/errors.js';
import { locate } from './locate.js';

export interface GivenModel extends OpenModel {
  /** What the checkpoint says of its training; null for a model that was not trained here. */
  readonly state: CheckpointState | null;
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
  const folder = await resolveModel(place, (problem) => {
    process.stderr.write(`warning: ${problem}\n`);
  });
  const threads = options.threads === 'auto' ? availableParallelism() : options.threads;
  const model = await openModel(folder, {
    threads,
    precisionOf: (state) =>
      options.asTrained && runOf(state, folder)?.precision === 'bfloat16' ? 'bfloat16' : 'float32',
  }).catch(async (error: unknown) => {
    throw folder.url === place.url ? error : await withWayOut(error, folder, await checkpointsOf(place));
  });
  return { ...model, run: runOf(model.state, folder) };
}

function runOf(state: CheckpointState | null, folder: Folder): RunConfig | null {
  return state && parseRunConfig(state.config, nameOf(folder, 'state.json'));
}

/** The error, and which other checkpoint of the run would do where the newest, in `folder`, is damaged. */
async function withWayOut(error: unknown, folder: Folder, checkpoints: Folder): Promise<unknown> {
  if (!(error instanceof UserError) || (await verifyCheckpoint(folder)).status !== 'bad') return error;
  const whole = await newestWhole(checkpoints, folder);
  const wayOut = whole
    ? `the newest checkpoint of the run that is whole is ${whole.directory}: name that one instead of the run`
    : 'no other checkpoint of the run is whole';
  return new UserError(error.code, `${error.message}; ${wayOut}`, { cause: error });
}
