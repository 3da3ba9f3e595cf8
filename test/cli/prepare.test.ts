import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { LOCKSTEP, runLockstep, type Outcome } from '../../bench/support/run-lockstep.js';
import type { PrepareSummary } from '../../src/data/prepare.js';

async function folderWith(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-prepare-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

function run(folder: string, ...args: string[]): Promise<Outcome> {
  return runLockstep(['prepare', ...args], { cwd: folder });
}

/** A command that is at work: it has said what it does. */
async function atWork(folder: string): Promise<LockstepProcess> {
  const args = ['prepare', 'in.txt', '--out', 'out', '--threads', '1'];
  const prepare = new LockstepProcess(args, { cwd: folder });
  await prepare.line('what it does', () => true);
  return prepare;
}

/** Text for long enough that a signal finds the command at work. */
const LONG = Array.from({ length: 400_000 }, (_, i) => `w${(i * 7919) % 100_003} `).join('');

test('the summary is one line of JSON on stdout, malformed lines are named on stderr', async (t) => {
  const lines = Array.from({ length: 300 }, (_, i) => (i === 9 ? '[]' : `{"body":"the ${i} sea"}`));
  const folder = await folderWith(t, { 'in.jsonl': lines.join('\n') });
  const { code, out, err } = await run(
    folder,
    'in.jsonl',
    '--out',
    'out',
    '--vocabulary',
    '280',
    '--field',
    'body',
    '--json',
  );
  assert.equal(code, 0, err);
  const summary = JSON.parse(out) as PrepareSummary;
  assert.equal(summary.vocabularySize, 280);
  assert.deepEqual([summary.input.lines, summary.input.malformed], [300, 1]);
  assert.match(err, /in\.jsonl:10: expected a JSON object, found an array/);
  assert.doesNotMatch(err, /npx lockstep train/);
});

test('the command that is named at the end trains on the data set, as a shell reads it', async (t) => {
  const folder = await folderWith(t, { 'in.txt': 'the sea is wide and deep\n'.repeat(50) });
  const { code, err } = await run(folder, 'in.txt', '--out', "it's data/1: 7", '--vocabulary', '280');
  assert.equal(code, 0, err);
  const named = /\n {2}npx lockstep (train .*)\n$/.exec(err)?.[1];
  assert.ok(named, err);
  const short = '--workers 1 --set steps=2 --set optimizer.schedule.warmupSteps=1 --set tracking.samples=0';
  const command = `"${process.execPath}" "${LOCKSTEP}" ${named} ${short}`;
  const trained = await promisify(execFile)('sh', ['-c', command], { cwd: folder });
  assert.match(trained.stdout, /^Trained 2 steps/);
  assert.deepEqual(await readdir(join(folder, 'runs')), ['1-7']);
});

test('a fault of the user ends with 2 and one sentence, and nothing is written', async (t) => {
  const folder = await folderWith(t, { 'in.txt': 'sea' });
  for (const args of [['absent.txt'], ['in.txt', '--pairs'], ['in.txt', '--special', 'ü']]) {
    const { code, out, err } = await run(folder, ...args, '--out', 'out');
    assert.equal(code, 2);
    assert.equal(out, '');
    assert.match(err, /^error: .+\n$/);
  }
  assert.deepEqual(await readdir(folder), ['in.txt']);
});

test('why nothing is held out is said: too little text, or as it was asked for', async (t) => {
  const folder = await folderWith(t, { 'in.txt': 'the sea and the ship '.repeat(200) });
  const args = ['in.txt', '--out', 'out', '--vocabulary', '300'];
  assert.match((await run(folder, ...args)).out, /nothing is held out, .*: the input is too short, since /);
  assert.match(
    (await run(folder, ...args, '--validation', '0')).out,
    /nothing is held out, .*: --validation 0$/m,
  );
});

test('Ctrl-C ends with 130 and leaves nothing behind', async (t) => {
  const folder = await folderWith(t, { 'in.txt': LONG });
  const prepare = await atWork(folder);
  prepare.kill('SIGINT');
  assert.equal(await prepare.exit(), 130, prepare.text());
  assert.deepEqual(await readdir(folder), ['in.txt']);
});

test('what a killed prepare has left is removed by the next one', async (t) => {
  const folder = await folderWith(t, { 'in.txt': LONG, 'short.txt': 'the sea' });
  const prepare = await atWork(folder);
  prepare.kill('SIGKILL');
  await prepare.exit();
  const left = await readdir(folder);
  assert.ok(left.length === 3 && !left.includes('out'), left.join(' '));
  const { code, err } = await run(folder, 'short.txt', '--out', 'out', '--vocabulary', '260');
  assert.equal(code, 0, err);
  assert.deepEqual((await readdir(folder)).sort(), ['in.txt', 'out', 'short.txt']);
});
