// Runs the compiled tests: dist/test/**/*.test.js, or those whose path holds one of the words given.
// Options (--…) go to `node --test`. Node built-ins only.

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const TEST_TIMEOUT_MS = 600_000; // for one file; the longest trains with real processes
const CONCURRENCY = 2;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const words = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'));

/** Test sources, as paths below test/ such as "config/load.test.ts". */
function testSources() {
  return readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(join(root, 'test'), join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

// From the sources, not from dist/: what a deleted test left there must not run.
const chosen = testSources().filter(
  (source) => words.length === 0 || words.some((word) => `test${sep}${source}`.includes(word)),
);
const files = chosen.map((source) => join('dist', 'test', source.replace(/\.ts$/, '.js')));
const missing = files.filter((file) => !existsSync(join(root, file)));

if (files.length === 0) {
  console.error(`error: no test file's path holds ${words.join(' or ') || '".test.ts"'}.`);
  process.exit(1);
}
if (missing.length > 0) {
  console.error(`error: ${missing[0]} is not built: run \`npm run setup\` first.`);
  process.exit(1);
}

const child = spawn(
  process.execPath,
  [
    '--enable-source-maps',
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${CONCURRENCY}`,
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    ...options,
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal === null ? code : 1));
