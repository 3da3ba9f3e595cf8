// Where a model or a run lies that a user names.
import path from 'node:path';
import { isUrl } from '../checkpoint/open-folder.js';
import { UserError } from '../util/errors.js';
import { pathExists } from '../util/exists.js';

/** A path or URL as it is; the name of a folder under runs/ otherwise. Throws UserError MODEL_NOT_FOUND. */
export async function locate(given: string): Promise<string> {
  if (isUrl(given) || (await pathExists(given))) return given;
  const named = path.join('runs', given);
  const isName = path.basename(given) === given;
  if (isName && (await pathExists(named))) return named;
  throw new UserError('MODEL_NOT_FOUND', `there is no ${given}${isName ? `, and no ${named}` : ''}`);
}
