// Finds and loads the C++ addon, build/lockstep.node of this package; scripts/native.mjs builds it.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '../../util/errors.js';
import type { Addon } from './addon.js';

/** The folder with our package.json: three levels above this file's source, four above its compiled form. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return directory;
}

/** Throws UserError ADDON_MISSING where the addon has not been built, or was built for another machine. */
export function loadAddon(): Addon {
  const file = join(packageRoot(), 'build', 'lockstep.node');
  if (!existsSync(file)) {
    throw new UserError('ADDON_MISSING', `the native addon ${file} is not there: run \`npm run setup\``);
  }
  try {
    return createRequire(import.meta.url)(file) as Addon;
  } catch (error) {
    throw new UserError(
      'ADDON_MISSING',
      `the native addon ${file} does not load (${messageOf(error)}): run \`npm run setup\``,
      { cause: error },
    );
  }
}
