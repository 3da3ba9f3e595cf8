import assert from 'node:assert/strict';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { runLockstep, type Outcome } from '../../bench/support/run-lockstep.js';
import { flipBit, storeIn, writeCheckpoint } from '../checkpoint/fixture.js';
import { prepareWords } from '../support/small-data.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

interface JsonReport {
  sound: boolean;
  checkpoints: { directory: string; status: string; problems: string[] }[];
}

const verify = (...args: string[]): Promise<Outcome> => runLockstep(['verify', ...args]);

async function report(...args: string[]) {
  const { out, code: exitCode } = await verify('--json', ...args);
  const { sound, checkpoints } = JSON.parse(out) as JsonReport;
  const statuses = checkpoints.map(({ directory, status }) => [path.basename(directory), status]);
  return { exitCode, sound, statuses, problems: checkpoints.flatMap(({ problems }) => problems) };
}

test('verify accepts a run with whole checkpoints, names unfinished ones, and exits with 2 once a bit is flipped', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await storeIn(directory);
  await writeCheckpoint(store, 9);
  const { directory: newest } = await writeCheckpoint(store, 10);
  await store.begin(11, 1);
  assert.deepEqual(await report(directory), {
    exitCode: 0,
    sound: true,
    statuses: [
      ['step-9', 'whole'],
      ['step-10', 'whole'],
      ['step-11', 'unfinished'],
    ],
    problems: ['it has no manifest.json'],
  });
  await flipBit(path.join(newest, 'model.safetensors'), 1);
  const { exitCode, sound, statuses, problems } = await report(directory);
  assert.deepEqual([exitCode, sound, statuses[1]], [2, false, ['step-10', 'damaged']]);
  assert.match(problems.join(), /model\.safetensors has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}/);
  const { out } = await verify(directory);
  assert.match(
    out,
    /^whole {7}.*step-9 .*\ndamaged {5}.*step-10 {2}model\.safetensors has SHA-256.*\nunfinished {2}/,
  );
});

test('verify of one checkpoint exits with 0 when it is whole and 2 when it is damaged or unfinished', async (t) => {
  const store = await storeIn(await temporaryDirectory(t));
  const { directory } = await writeCheckpoint(store, 1);
  assert.equal((await report(directory)).exitCode, 0);
  await flipBit(path.join(directory, 'optimizer.safetensors'), 1);
  assert.equal((await report(directory)).exitCode, 2);
  const torn = await store.begin(2, 1);
  assert.deepEqual((await report(torn.folder.url)).statuses, [['step-2', 'unfinished']]);
  assert.equal((await report(torn.folder.url)).exitCode, 2);
});

test('verify calls a checkpoint damaged whose folder was named for another step', async (t) => {
  const directory = await temporaryDirectory(t);
  const { directory: written } = await writeCheckpoint(await storeIn(directory), 4);
  await rename(written, path.join(path.dirname(written), 'step-5'));
  const { exitCode, statuses, problems } = await report(directory);
  assert.deepEqual(
    [exitCode, statuses, problems],
    [2, [['step-5', 'damaged']], ['its manifest is of step 4']],
  );
});

test('verify of a run without a checkpoint exits with 2, and so does verify of what is not there', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(path.join(directory, 'checkpoints'));
  assert.equal((await report(directory)).exitCode, 2);
  const { out, err, code } = await verify(path.join(directory, 'none'));
  assert.deepEqual([out, code], ['', 2]);
  assert.match(err, /there is no .*none/);
  await writeFile(path.join(directory, 'run.json'), '{}');
  await rm(path.join(directory, 'checkpoints'), { recursive: true });
  assert.match((await verify(directory)).err, /has no checkpoint yet/);
  await rename(path.join(directory, 'run.json'), path.join(directory, 'manifest.json'));
  assert.match(
    (await verify(directory)).err,
    /expected a run, a checkpoint or a prepared data set, .* is none of them/,
  );
});

test('verify of prepared data exits with 0, and with 2 and the name of the file in which a bit was flipped', async (t) => {
  const folder = await temporaryDirectory(t);
  await prepareWords(folder);
  const directory = path.join(folder, 'data');
  const { out, code } = await verify(directory);
  assert.deepEqual([code, out.startsWith(`whole  ${directory}  `)], [0, true], out);
  await flipBit(path.join(directory, 'train-00000.bin'), 1);
  const damaged = await verify(directory);
  assert.equal(damaged.code, 2);
  assert.match(damaged.err, /train-00000\.bin is not what the manifest says: its SHA-256 is /);
});
