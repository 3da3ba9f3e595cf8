import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/util/package.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

test('npx finds the command in a clone, which says how to build it before it does what it was built for', async (t) => {
  const home = await temporaryDirectory(t);
  const clone = join(home, 'clone');
  const { bin } = JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as {
    bin: { lockstep: string };
  };
  mkdirSync(join(clone, dirname(bin.lockstep)), { recursive: true });
  cpSync(join(packageRoot, bin.lockstep), join(clone, bin.lockstep));
  writeFileSync(join(clone, 'package.json'), JSON.stringify({ name: 'lockstep', version: '0.0.0', bin }));
  // `npm test` puts this clone's own commands on the path.
  const isOurs = (folder: string): boolean => folder.endsWith(join('node_modules', '.bin'));
  const path = process.env['PATH']!.split(delimiter).filter((folder) => !isOurs(folder));
  const settings = { npm_config_cache: join(home, 'cache'), npm_config_offline: 'true' };
  const env = { PATH: path.join(delimiter), HOME: home, ...settings };
  const npx = () => spawnSync('npx', ['lockstep', 'doctor'], { cwd: clone, env, encoding: 'utf8' });

  const before = npx();
  assert.equal(before.status, 2);
  assert.match(before.stderr, /lockstep is not built yet: run `npm run setup` in .*clone/);

  const built = join(clone, 'dist', 'src', 'cli', 'main.js');
  mkdirSync(dirname(built), { recursive: true });
  writeFileSync(built, 'console.log("built with", ...process.argv.slice(2));');
  const after = npx();
  assert.equal(after.stderr, '');
  assert.equal(after.stdout, 'built with doctor\n');
});
