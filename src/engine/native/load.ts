// Finds and loads the C++ addon, build/lockstep.node of this package; scripts/native.mjs builds it.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { messageOf, UserError } from '../../util/errors.js';
import { packageRoot } from '../../util/package.js';
import { instructionSets, type Addon, type InstructionSet } from './addon.js';

/**
 * LOCKSTEP_ISA names an instruction set that is computed with at most, to compare machines.
 * Throws UserError ADDON_MISSING where the addon has not been built, or was built for another machine, and ISA_INVALID where
 * there is no instruction set of that name.
 */
export function loadAddon(): Addon {
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
  const isa = process.env['LOCKSTEP_ISA'];
  if (isa) addon.setIsa(checked(isa));
  return addon;
}

function checked(name: string): InstructionSet {
  const isa = instructionSets.find((known) => known === name);
  if (isa) return isa;
  throw new UserError(
    'ISA_INVALID',
    `LOCKSTEP_ISA: expected one of ${instructionSets.join(', ')}, got "${name}"`,
  );
}
