// What a user is told who named a damaged checkpoint, or a run whose newest one is damaged: which one would do instead.

import path from 'node:path';
import { UserError } from '../util/errors.js';
import type { Folder } from './folder.js';
import { newestWhole } from './list.js';
import { stepOfName } from './names.js';
import { isUrl, openFolder } from './open-folder.js';
import { CHECKPOINTS, checkpointsOf } from './run-directory.js';

/** The error; one that says CHECKPOINT_BAD of the model at `given` also names the newest checkpoint of its run that is whole. */
export async function withWayOut(error: unknown, given: Folder): Promise<unknown> {
  if (!(error instanceof UserError) || error.code !== 'CHECKPOINT_BAD') return error;
  const checkpoints = await checkpointsBeside(given);
  if (checkpoints === null) return error;
  const whole = await newestWhole(checkpoints);
  const wayOut = whole
    ? `the newest checkpoint of the run that is whole is ${whole.directory}: name that one instead`
    : 'no other checkpoint of the run is whole';
  return new UserError(error.code, `${error.message}; ${wayOut}`, { cause: error });
}

/** The checkpoints of the run that `given` is or belongs to; null for a checkpoint that was copied out of its run. */
async function checkpointsBeside(given: Folder): Promise<Folder | null> {
  const place = isUrl(given.url) ? given.url.replace(/\/+$/, '') : path.resolve(given.url);
  if (stepOfName(path.posix.basename(place)) === null) return checkpointsOf(given);
  const above = place.slice(0, place.lastIndexOf('/'));
  return path.posix.basename(above) === CHECKPOINTS ? openFolder(above) : null;
}
