// Folders are made with all that is missing above them, or it is said why not.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { makeDirectories } from '../../src/util/directories.js';
import { UserError } from '../../src/util/errors.js';

test('folders are made with their parents, and those that exist are left alone', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lockstep-directories-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const deep = path.join(folder, 'a', 'b', 'c');
  await makeDirectories(deep);
  await makeDirectories(deep);
  assert.ok(statSync(deep).isDirectory());
  writeFileSync(path.join(folder, 'file'), '');
  await assert.rejects(makeDirectories(path.join(folder, 'file', 'below')), { code: 'ENOTDIR' });
});

test('where the system makes no folders, that is said at once', async (t) => {
  if (!existsSync('/proc/self')) return t.skip('needs /proc');
  await assert.rejects(
    makeDirectories('/proc/lockstep/run'),
    (error) => error instanceof UserError && error.code === 'DIRECTORY_FAILED',
  );
});
