import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { liveness, thisOwner, type Owner } from '../../src/checkpoint/owner.js';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import type { Folder } from '../../src/checkpoint/folder.js';
import { acquireTerm, type Term } from '../../src/checkpoint/term.js';
import { MemoryFiles, MemoryFolder } from '../support/memory-folder.js';
import { atEnd, temporaryDirectory } from '../support/temporary-directory.js';
import { until } from '../support/until.js';

const script = fileURLToPath(new URL('./term-owner.js', import.meta.url));
const TIMEOUT_MS = 5000;

/** Takes the run's next term; its owner renews it every 10 ms. */
async function acquire(
  t: TestContext,
  run: Folder,
  onWarning: (message: string) => void = () => {},
): Promise<Term> {
  let isHeld = false;
  const term = await acquireTerm(run, {
    renewal: { intervalMs: 10, timeoutMs: TIMEOUT_MS },
    onWarning: (message) => {
      if (!isHeld) onWarning(message);
    },
  });
  isHeld = true;
  atEnd(t, () => term.release());
  return term;
}

function refuseToWait(message: string): never {
  throw new Error(message);
}

async function newRun(t: TestContext): Promise<DiskFolder> {
  return new DiskFolder(path.join(await temporaryDirectory(t), 'run'));
}

async function termsOf(run: DiskFolder): Promise<string> {
  const { url } = run.at('terms');
  await mkdir(url, { recursive: true });
  return url;
}

/** Starts a process that takes a term; returns it and what it printed first. */
async function startOwner(t: TestContext, run: DiskFolder, timeoutMs = TIMEOUT_MS) {
  const child = spawn(process.execPath, [script, run.url, '10', `${timeoutMs}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  atEnd(t, () => {
    child.kill('SIGKILL');
    return exited;
  });
  const [printed] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, said: printed.toString().trim() };
}

/** Makes it look as if `owner` had taken `term`. */
async function pretend(run: DiskFolder, term: number, owner: Owner, timeoutMs = 100): Promise<void> {
  const file = path.join(await termsOf(run), `${String(term).padStart(6, '0')}.json`);
  await writeFile(file, JSON.stringify({ term, owner, renewal: { intervalMs: 10, timeoutMs } }));
}

/** An owner on a machine that this one knows nothing of. */
async function foreigner(): Promise<Owner> {
  return { ...(await thisOwner()), host: 'elsewhere', machineId: 'other', bootId: 'other' };
}

test('terms rise by one with each release, and start at 1', async (t) => {
  const run = await newRun(t);
  for (const expected of [1, 2, 3]) {
    const held = await acquire(t, run);
    assert.deepEqual([held.number, held.contested], [expected, false]);
    await held.release();
  }
});

test('a run whose owner is at work on this machine is refused at once, within one process and across processes', async (t) => {
  const run = await newRun(t);
  const first = await acquire(t, run);
  await assert.rejects(acquire(t, run, refuseToWait), {
    code: 'RUN_IN_USE',
    message: new RegExp(`in use by process ${process.pid} on .* \\(term 1\\)`),
  });
  assert.equal((await startOwner(t, run)).said, 'RUN_IN_USE');
  await first.release();
  assert.equal((await startOwner(t, run)).said, '2');
  await assert.rejects(acquire(t, run, refuseToWait), { code: 'RUN_IN_USE' });
});

test('an owner on this machine of which nothing but its process id is known is watched', async (t) => {
  const run = await newRun(t);
  await pretend(run, 4, { ...(await thisOwner()), startTime: '' });
  assert.equal((await acquire(t, run)).number, 5);
});

test('the run of an owner killed with -9 is free for the next at once', async (t) => {
  const run = await newRun(t);
  const { child, said } = await startOwner(t, run);
  assert.equal(said, '1');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const { number, contested } = await acquire(t, run, refuseToWait);
  assert.deepEqual({ number, contested }, { number: 2, contested: false });
});

test('an owner that stands still for its timeout is superseded, and finds out when it goes on', async (t) => {
  const run = await newRun(t);
  const { child } = await startOwner(t, run, 200);
  child.kill('SIGSTOP');
  // It stops when the signal reaches it, not when it is sent.
  const stat = (): Promise<string> => readFile(`/proc/${child.pid}/stat`, 'utf8');
  await until('it to stand still', async () => / T /.test(await stat()), stat);
  const warnings: string[] = [];
  const held = await acquire(t, run, (text) => warnings.push(text));
  assert.deepEqual([held.number, held.contested], [2, true]);
  assert.match(warnings.join(), /watching for up to 0.2 s.*has not renewed/s);
  const said = once(child.stdout, 'data');
  child.kill('SIGCONT');
  assert.equal(String(((await said) as [Buffer])[0]).trim(), 'RUN_SUPERSEDED');
  await held.check();
});

test('of many that try at once exactly one gets the run, and nothing but its term stays', async (t) => {
  const run = await newRun(t);
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => acquire(t, run)));
  const won = outcomes.filter(({ status }) => status === 'fulfilled');
  assert.equal(won.length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') assert.equal((outcome.reason as { code: string }).code, 'RUN_IN_USE');
  }
  assert.deepEqual((await readdir(await termsOf(run))).sort(), ['000001.alive', '000001.json']);
});

test('a process id that another process has now does not pass for the owner', async (t) => {
  const run = await newRun(t);
  await pretend(run, 4, { ...(await thisOwner()), startTime: '1' });
  assert.equal((await acquire(t, run, refuseToWait)).number, 5);
});

test('an owner on another machine is watched for its timeout, and contests every later term', async (t) => {
  const run = await newRun(t);
  await pretend(run, 7, await foreigner());
  for (const term of [8, 9]) {
    const taken = await acquire(t, run);
    assert.deepEqual([taken.number, taken.contested], [term, true]);
    await taken.release();
  }
});

test('an owner on another machine that renews its term is not taken for dead', async (t) => {
  const run = await newRun(t);
  await pretend(run, 7, await foreigner());
  const alive = path.join(await termsOf(run), '000007.alive');
  await writeFile(alive, '1');
  const refused = acquire(t, run, () => writeFileSync(alive, '2'));
  await assert.rejects(refused, { code: 'RUN_IN_USE', message: /process \d+ on elsewhere \(term 7\)/ });
});

test('an owner that releases its term while it is watched is no longer waited for', async (t) => {
  const run = await newRun(t);
  await pretend(run, 7, await foreigner(), 3_600_000);
  const released = path.join(await termsOf(run), '000007.released');
  await writeFile(released, '');
  const { number, contested } = await acquire(t, run, refuseToWait);
  assert.deepEqual({ number, contested }, { number: 8, contested: false });
});

test('storage that fails stops no owner, which renews its term again later', async (t) => {
  const storage = new MemoryFiles();
  const run = new MemoryFolder('memory:run', storage);
  await run.make();
  const write = storage.write.bind(storage);
  const failed = new Promise<void>((resolve) => {
    storage.write = (name, bytes, position) => {
      if (!name.endsWith('.alive')) return write(name, bytes, position);
      storage.write = write;
      resolve();
      throw new Error('no storage');
    };
  });
  await acquire(t, run);
  await failed;
  // As it is seen from another machine, which can only watch its renewals.
  const claim = { term: 1, owner: await foreigner(), renewal: { intervalMs: 10, timeoutMs: TIMEOUT_MS } };
  await run.at('terms').replace('000001.json', JSON.stringify(claim));
  await assert.rejects(acquire(t, run), { code: 'RUN_IN_USE' });
});

test('liveness tells reboot, other containers and other machines apart', async () => {
  const self = { ...(await thisOwner()), machineId: 'this' };
  assert.equal(await liveness(self, self), 'alive');
  assert.equal(await liveness({ ...self, bootId: 'before' }, self), 'dead');
  assert.equal(await liveness({ ...self, bootId: 'before', host: 'elsewhere' }, self), 'unknown');
  assert.equal(await liveness({ ...self, bootId: 'before', machineId: 'twin' }, self), 'unknown');
  const nameless = { ...self, machineId: '' };
  assert.equal(await liveness({ ...nameless, bootId: 'before' }, nameless), 'unknown');
  assert.equal(await liveness({ ...self, pidNamespace: 'pid:[1]' }, self), 'unknown');
  assert.equal(await liveness({ ...self, pid: 2 ** 22 + 1 }, self), 'dead');
  const mac = { ...self, bootId: '', startTime: '' };
  assert.equal(await liveness({ ...mac, host: 'elsewhere' }, mac), 'unknown');
  assert.equal(await liveness(mac, mac), 'alive');
});

test('a process that ended, but that its parent has not waited for, is dead', async (t) => {
  // The shell starts a child that ends on our word, then becomes `sleep`, which waits for nobody.
  const shell = 'exec 3<&0; (read word <&3) & echo $!; exec sleep 60';
  const parent = spawn('sh', ['-c', shell], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => parent.kill('SIGKILL'));
  const [printed] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(printed.toString());
  while ((await readFile(`/proc/${parent.pid}/comm`, 'utf8')) !== 'sleep\n') await setImmediate();
  parent.stdin.write('now\n');
  while (!(await readFile(`/proc/${pid}/stat`, 'utf8')).includes(') Z ')) await setImmediate();
  const self = await thisOwner();
  assert.equal(await liveness({ ...self, pid, startTime: '' }, self), 'dead');
});
