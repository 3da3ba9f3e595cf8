// Shell scripts are held against shellcheck.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/util/package.js';

const scripts = ['.ci', 'deploy'].flatMap((folder) =>
  readdirSync(packageRoot + folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => /^#!.*\b(ba|da)?sh\n/.test(readFileSync(file, 'utf8'))),
);

const missing =
  spawnSync('shellcheck', ['--version']).error && 'needs shellcheck: apt-get install shellcheck';

test('shellcheck finds nothing in shell scripts', { skip: missing ?? false }, () => {
  assert.ok(scripts.length >= 2, `only ${scripts.length} scripts were found`);
  const { stdout } = spawnSync('shellcheck', ['--norc', ...scripts], { encoding: 'utf8' });
  assert.equal(stdout, '');
});
