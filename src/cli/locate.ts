// Where a model or a run lies that a user names.
import path from 'node:path';
import { isUrl } from '../checkpoint/open-folder.js';
import { UserError } from '../util/errors.js';
import { pathExists } from '../util/exists.js';

/** A path or URL as it is; the name of a folder under runs/ otherwise; null where there is neither. */
export async function find(given: string): Promise<string | null> {
  if (isUrl(given) || (await pathExists(given))) return given;
  const named = namedFolder(given);
  return named !== null && (await pathExists(named)) ? named : null;
}

/** The same. Throws UserError MODEL_NOT_FOUND where there is neither. */
export async function locate(given: string): Promise<string> {
  const found = await find(given);
  if (found !== null) return found;
  const named = namedFolder(given);
  throw new UserError(
    'MODEL_NOT_FOUND',
    `there is no ${given}${named === null ? '' : `, and no ${named}`}: \`lockstep runs\` lists what was trained here`,
  );
}

function namedFolder(given: string): string | null {
  return path.basename(given) === given ? path.join('runs', given) : null;
}
