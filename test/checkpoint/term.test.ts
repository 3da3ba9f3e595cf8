import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { liveness, thisOwner, type Owner } from '../../src/checkpoint/owner.js';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { acquireTerm } from '../../src/checkpoint/term.js';
import { temporaryDirectory } from './fixture.js';

const script = fileURLToPath(new URL('./term-owner.js', import.meta.url));
const ours = { takeOver: false };

async function newRun(t: TestContext): Promise<DiskFolder> {
  return new DiskFolder(path.join(await temporaryDirectory(t), 'run'));
}

async function termsOf(run: DiskFolder): Promise<string> {
  const { url } = run.at('terms');
  await mkdir(url, { recursive: true });
  return url;
}

/** Starts a process that takes a term; returns it and what it printed first. */
async function startOwner(t: TestContext, run: DiskFolder) {
  const child = spawn(process.execPath, [script, run.url], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [printed] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, said: printed.toString().trim() };
}

/** Makes it look as if `owner` had taken `term`. */
async function pretend(run: DiskFolder, term: number, owner: Owner): Promise<void> {
  const file = path.join(await termsOf(run), `${String(term).padStart(6, '0')}.json`);
  await writeFile(file, JSON.stringify({ term, owner }));
}

/** An owner on a machine that this one knows nothing of. */
async function foreigner(): Promise<Owner> {
  return { ...(await thisOwner()), host: 'elsewhere', machineId: 'other', bootId: 'other' };
}

test('terms rise by one with each release, and start at 1', async (t) => {
  const run = await newRun(t);
  for (const expected of [1, 2, 3]) {
    const { term, contested, release } = await acquireTerm(run, ours);
    assert.deepEqual({ term, contested }, { term: expected, contested: false });
    await release();
  }
});

test('a run whose owner lives is refused, within one process and across processes', async (t) => {
  const run = await newRun(t);
  const first = await acquireTerm(run, ours);
  await assert.rejects(acquireTerm(run, { takeOver: true }), {
    code: 'RUN_IN_USE',
    message: new RegExp(`in use by process ${process.pid} on this machine`),
  });
  assert.equal((await startOwner(t, run)).said, 'RUN_IN_USE');
  await first.release();
  assert.equal((await startOwner(t, run)).said, '2');
  await assert.rejects(acquireTerm(run, ours), { code: 'RUN_IN_USE' });
});

test('the run of an owner killed with -9 is free for the next at once', async (t) => {
  const run = await newRun(t);
  const { child, said } = await startOwner(t, run);
  assert.equal(said, '1');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const { term, contested } = await acquireTerm(run, ours);
  assert.deepEqual({ term, contested }, { term: 2, contested: false });
});

test('of many that try at once exactly one gets the run, and nothing but its term stays', async (t) => {
  const run = await newRun(t);
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => acquireTerm(run, ours)));
  const won = outcomes.filter(({ status }) => status === 'fulfilled');
  assert.equal(won.length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') assert.equal((outcome.reason as { code: string }).code, 'RUN_IN_USE');
  }
  assert.deepEqual(await readdir(await termsOf(run)), ['000001.json']);
});

test('a process id that another process has now does not pass for the owner', async (t) => {
  const run = await newRun(t);
  await pretend(run, 4, { ...(await thisOwner()), startTime: '1' });
  assert.equal((await acquireTerm(run, ours)).term, 5);
});

test('the run of an owner on another machine is refused unless it is taken over, and is contested from then on', async (t) => {
  const run = await newRun(t);
  await pretend(run, 7, await foreigner());
  await assert.rejects(acquireTerm(run, ours), {
    code: 'RUN_IN_USE_ELSEWHERE',
    message: /process \d+ on elsewhere \(term 7\).*take the run over/,
  });
  for (const [takeOver, term] of [
    [true, 8],
    [false, 9],
  ] as const) {
    const taken = await acquireTerm(run, { takeOver });
    assert.deepEqual([taken.term, taken.contested], [term, true]);
    await taken.release();
  }
});

test('an owner on another machine that released the run is no obstacle', async (t) => {
  const run = await newRun(t);
  await pretend(run, 7, await foreigner());
  await writeFile(path.join(await termsOf(run), '000007.released'), '');
  const { term, contested } = await acquireTerm(run, ours);
  assert.deepEqual({ term, contested }, { term: 8, contested: false });
});

test('an older owner that lives here keeps the run even after a younger one elsewhere released it', async (t) => {
  const run = await newRun(t);
  await pretend(run, 1, await thisOwner());
  await pretend(run, 2, await foreigner());
  await writeFile(path.join(await termsOf(run), '000002.released'), '');
  await assert.rejects(acquireTerm(run, { takeOver: true }), { code: 'RUN_IN_USE' });
});

test('a term file that cannot be read is not taken for a dead owner', async (t) => {
  const run = await newRun(t);
  await writeFile(path.join(await termsOf(run), '000001.json'), '');
  await assert.rejects(acquireTerm(run, ours), {
    code: 'RUN_IN_USE_ELSEWHERE',
    message: /left no name/,
  });
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
