// Makes `npx lockstep` work in this clone: the built command may be executed, and node_modules/.bin has it. npx alone does
// so only when it first meets a clone's path: before a build it remembers a clone without the command, and a later build
// makes another file. Node built-ins only.

import { chmodSync, mkdirSync, readlinkSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { main, root } from './build.mjs';

const program = join(root, 'dist', 'src', 'cli', 'main.js');
const link = join(root, 'node_modules', '.bin', 'lockstep');
const target = relative(dirname(link), program);

/** After every build; does only what is missing. `npm ci` removes the link. */
export function offerCommand() {
  if ((statSync(program).mode & 0o777) !== 0o755) chmodSync(program, 0o755);
  // Where node_modules is itself a link, its command is another clone's.
  if (realpathSync(dirname(dirname(link))) !== join(realpathSync(root), 'node_modules')) return;
  if (linkedTo() === target) return;
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(target, link);
}

function linkedTo() {
  try {
    return readlinkSync(link);
  } catch {
    return null; // nothing, or no link
  }
}

await main(import.meta.url, offerCommand);
