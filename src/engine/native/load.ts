// Finds and loads the C++ addon, build/lockstep.node of this package; scripts/native.mjs builds it.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { messageOf, UserError } from '../../util/errors.js';
import { packageRoot } from '../../util/package.js';
import { instructionSets, type Addon } from './addon.js';

/**
 * LOCKSTEP_ISA caps the instruction set, to compare machines.
 * Throws UserError ADDON_MISSING where the addon has not been built, or was built for another machine, and ISA_INVALID where
 * there is no instruction set of that name.
 */
export function loadAddon(): Addon {
  checkInstructionSet(process.env['LOCKSTEP_ISA']);
  const file = `${packageRoot}build/lockstep.node`;
  if (!existsSync(file)) {
    throw new UserError('ADDON_MISSING', `the native addon ${file} is not there: run \`npm run setup\``);
  }
  let addon: Addon;
  try {
    addon = createRequire(import.meta.url)(file) as Addon;
  } catch (error) {
    throw new UserError(
      'ADDON_MISSING',
      `the native addon ${file} does not load (${messageOf(error)}): run \`npm run setup\``,
      { cause: error },
    );
  }
  return addon;
}

/** The addon reads it itself. */
function checkInstructionSet(name: string | undefined): void {
  if (!name || instructionSets.some((known) => known === name)) return;
  throw new UserError(
    'ISA_INVALID',
    `LOCKSTEP_ISA: expected one of ${instructionSets.join(', ')}, got "${name}"`,
  );
}
