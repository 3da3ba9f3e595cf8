// storage.json of a run's folder: where the run keeps its checkpoints and terms when that is not the folder itself. It
// lets `lockstep status runs/NAME`, `fill runs/NAME` and all others find them; a run is trained by its config alone.

import { z } from 'zod';
import { UserError } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { nameOf, readText, type Folder } from './folder.js';
import { openFolder } from './open-folder.js';

const PLACE_FILE = 'storage.json';
/** Files of earlier versions do not say which run it is. */
const placeSchema = z.object({ url: z.string().min(1), runId: z.uuid().optional() });
export type StoragePlace = z.infer<typeof placeSchema>;

/** Says in the run's own folder that it is stored in `storage`, which may be that folder. */
export async function recordStorage(own: Folder, storage: Folder, runId: string): Promise<void> {
  const text = storage.url === own.url ? null : jsonText({ url: storage.url, runId });
  if ((await readText(own, PLACE_FILE)) === text) return;
  await own.remove(PLACE_FILE);
  if (text !== null) await own.create(PLACE_FILE, text);
}

/** What the run's own folder says of where it is stored; null when it is stored in that folder. Throws UserError RUN_INVALID. */
export async function storagePlace(own: Folder): Promise<StoragePlace | null> {
  const text = await readText(own, PLACE_FILE);
  if (text === null) return null;
  try {
    return placeSchema.parse(JSON.parse(text));
  } catch (error) {
    throw invalid(own, error);
  }
}

/** Where the run whose folder is `own` is stored. Throws UserError RUN_INVALID. */
export async function storageOf(own: Folder): Promise<Folder> {
  const place = await storagePlace(own);
  if (place === null) return own;
  try {
    return await openFolder(place.url);
  } catch (error) {
    throw invalid(own, error);
  }
}

function invalid(own: Folder, cause: unknown): UserError {
  const message = `${nameOf(own, PLACE_FILE)} does not say where the run is stored: expected {"url": "PATH or s3://…"}`;
  return new UserError('RUN_INVALID', message, { cause });
}
