#!/usr/bin/env node
// The command `lockstep`: the compiled one, or how to have it compiled. This file is in a clone from the beginning: npx
// remembers a clone that had no command when it first met it.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = new URL('../dist/src/cli/main.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  const root = fileURLToPath(new URL('..', import.meta.url));
  console.error(`lockstep is not built yet: run \`npm run setup\` in ${root}`);
  process.exitCode = 2;
}
