import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { packageRoot } from '../../src/util/package.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

interface Clone {
  readonly folder: string;
  /** As a build does: files of its own, which nobody may execute, and then the script. */
  readonly build: () => void;
  /** What real npx makes of `npx lockstep`: stdout, or null where it fails. */
  readonly npx: () => string | null;
}

/** A clone after `npm ci`, with a program in the place of the built one, and an npm that has seen nothing yet. */
async function freshClone(t: TestContext): Promise<Clone> {
  const home = await temporaryDirectory(t);
  const folder = join(home, 'clone');
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  cpSync(join(packageRoot, 'scripts'), join(folder, 'scripts'), { recursive: true });
  const bin = { lockstep: 'dist/src/cli/main.js' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'lockstep', version: '0.0.0', bin }));
  const program = join(folder, bin.lockstep);
  const settings = { npm_config_cache: join(home, 'cache'), npm_config_offline: 'true' };
  // `npm test` puts this clone's own commands on the path.
  const isOurs = (folder: string): boolean => folder.endsWith(join('node_modules', '.bin'));
  const path = process.env['PATH']!.split(delimiter).filter((folder) => !isOurs(folder));
  const env = { PATH: path.join(delimiter), HOME: home, ...settings };
  return {
    folder,
    build() {
      rmSync(join(folder, 'dist'), { recursive: true, force: true });
      mkdirSync(join(program, '..'), { recursive: true });
      writeFileSync(program, '#!/bin/sh\necho "built with $*"\n', { mode: 0o644 });
      const { status, stderr } = spawnSync(process.execPath, [join(folder, 'scripts', 'command.mjs')]);
      assert.equal(status, 0, String(stderr));
    },
    npx() {
      const { status, stdout } = spawnSync('npx', ['lockstep', 'doctor'], { cwd: folder, env });
      return status === 0 ? String(stdout) : null;
    },
  };
}

test('npx finds the command though it was asked for it before the first build, and after each build again', async (t) => {
  const clone = await freshClone(t);
  assert.equal(clone.npx(), null);
  for (let builds = 0; builds < 2; builds++) {
    clone.build();
    assert.equal(clone.npx(), 'built with doctor\n');
  }
});

test('a link that leads elsewhere is made anew, and one in node_modules of another clone is not made', async (t) => {
  const { folder, build } = await freshClone(t);
  const link = join(folder, 'node_modules', '.bin', 'lockstep');
  mkdirSync(join(link, '..'));
  symlinkSync('nowhere', link);
  build();
  assert.ok(existsSync(link));
  const made = lstatSync(link).ino;
  build();
  assert.equal(lstatSync(link).ino, made);

  const other = await temporaryDirectory(t);
  rmSync(join(folder, 'node_modules'), { recursive: true });
  symlinkSync(other, join(folder, 'node_modules'));
  build();
  assert.equal(existsSync(join(other, '.bin')), false);
});
