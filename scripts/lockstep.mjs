#!/usr/bin/env node
// The command `lockstep`: the compiled one, or how to have it compiled. This file is in a clone from the beginning: npx
// remembers a clone that had no command when it first met it.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = new URL('../dist/src/cli/main.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href).catch((error) => {
    if (error.code !== 'EMFILE') throw error;
    fail('the limit of open files is too low to load the program: raise it (ulimit -n 4096)');
  });
} else {
  fail(
    `lockstep is not built yet: run \`npm run setup\` in ${fileURLToPath(new URL('..', import.meta.url))}`,
  );
}

/** @param {string} message */
function fail(message) {
  console.error(`error: ${message}`);
  process.exitCode = 2;
}
