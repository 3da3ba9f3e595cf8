import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { packageRoot } from '../../src/util/package.js';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-lock-'));
after(() => rmSync(folder, { recursive: true }));

/** A process that takes the lock and then runs `body` (which may use `release`, `fs`, `file`). */
function contender(file: string, body: string): ChildProcess {
  const program = `
    import fs from 'node:fs';
    import { acquireLock } from ${JSON.stringify(`${packageRoot}scripts/lock.mjs`)};
    const file = ${JSON.stringify(file)};
    const release = await acquireLock(file, () => console.log('waiting'));
    ${body}`;
  return spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

async function finished(child: ChildProcess): Promise<void> {
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 0);
}

test('of several processes one holds the lock at a time, though they find a stale one', async () => {
  const file = join(folder, 'many');
  const log = join(folder, 'many.log');
  writeFileSync(file, '999999999 1');
  const body = `
    fs.appendFileSync(${JSON.stringify(log)}, '<');
    await new Promise(setImmediate);
    fs.appendFileSync(${JSON.stringify(log)}, '>');
    release();`;
  await Promise.all(Array.from({ length: 6 }, () => finished(contender(file, body))));
  assert.equal(readFileSync(log, 'utf8'), '<>'.repeat(6));
  assert.equal(existsSync(file), false);
});

test('the lock of a process that was killed is taken over', async () => {
  const file = join(folder, 'killed');
  const holder = contender(file, `console.log('held'); setInterval(() => {}, 1000);`);
  await once(holder.stdout!, 'data');
  assert.equal(readFileSync(file, 'utf8').split(' ')[0], String(holder.pid));
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await finished(contender(file, 'release();'));
});

test('a process waits while the owner lives, and says so', async () => {
  const file = join(folder, 'waiting');
  const holder = contender(
    file,
    `console.log('held'); process.stdin.once('data', () => { release(); process.exit(0); });`,
  );
  await once(holder.stdout!, 'data');
  const second = contender(file, 'release();');
  const [said] = (await once(second.stdout!, 'data')) as [Buffer];
  assert.equal(said.toString(), 'waiting\n');
  holder.stdin!.write('go');
  await Promise.all([finished(holder), finished(second)]);
});
