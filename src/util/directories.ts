// Making folders, alone or with all that is missing above them.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { UserError, messageOf } from './errors.js';
import { pathExists } from './exists.js';

/** As mkdir; throws UserError DIRECTORY_FAILED where its parent is missing, or refuses folders and says so, as /proc does. */
export async function makeDirectory(directory: string, mode?: number): Promise<void> {
  try {
    await mkdir(directory, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const message = `cannot make the folder ${directory}: ${messageOf(error)}`;
    throw new UserError('DIRECTORY_FAILED', message, { cause: error });
  }
}

/** As `mkdir -p`, of which Node's own never ends below /proc. */
export async function makeDirectories(directory: string): Promise<void> {
  const missing: string[] = [];
  for (let at = path.resolve(directory); !(await pathExists(at)); at = path.dirname(at)) missing.unshift(at);
  for (const folder of missing) {
    await makeDirectory(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}
