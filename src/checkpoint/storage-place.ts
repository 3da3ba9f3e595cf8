// storage.json of a run's folder: where the run keeps its checkpoints and terms when that is not the folder itself. It
// lets `lockstep status runs/NAME`, `fill runs/NAME` and all others find them; a run is trained by its config alone.

import { z } from 'zod';
import { UserError } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { nameOf, readText, type Folder } from './folder.js';
import { openFolder } from './open-folder.js';

const PLACE_FILE = 'storage.json';
const placeSchema = z.object({ url: z.string().min(1) });

/** Says in the run's own folder that it is stored in `storage`, which may be that folder. */
export async function recordStorage(own: Folder, storage: Folder): Promise<void> {
  const text = storage.url === own.url ? null : jsonText({ url: storage.url });
  if ((await readText(own, PLACE_FILE)) === text) return;
  await own.remove(PLACE_FILE);
  if (text !== null) await own.create(PLACE_FILE, text);
}

/** Where the run whose folder is `own` is stored. Throws UserError RUN_INVALID. */
export async function storageOf(own: Folder): Promise<Folder> {
  const text = await readText(own, PLACE_FILE);
  if (text === null) return own;
  try {
    return await openFolder(placeSchema.parse(JSON.parse(text)).url);
  } catch (error) {
    const message = `${nameOf(own, PLACE_FILE)} does not say where the run is stored: expected {"url": "PATH or s3://…"}`;
    throw new UserError('RUN_INVALID', message, { cause: error });
  }
}
