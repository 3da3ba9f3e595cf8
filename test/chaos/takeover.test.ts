// Two coordinators on one run: the first stands still for longer than its timeout, the second takes the run over, the first
// goes on and finds out. Real processes; the oracle is the SHA-256 of the last checkpoint's files.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { isLease, says } from '../../bench/support/log-lines.js';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import type { Folder } from '../../src/checkpoint/folder.js';
import { hashBytes } from '../../src/checkpoint/hash.js';
import { listCheckpoints, type CheckpointInfo } from '../../src/checkpoint/list.js';
import { openS3 } from '../../src/checkpoint/s3-open.js';
import { S3Store } from '../support/s3-store.js';
import { folderWithData, removeFolder } from '../support/small-data.js';

const STEPS = 24;

const CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 16, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, maxLength: 16 }
window: 8
batch: { microBatches: 2, samples: 2 }
optimizer: { schedule: { kind: constant, warmupSteps: 3 } }
reducers: 2
steps: ${STEPS}
evaluate: { every: 12, batches: 2 }
checkpoint: { every: 4, keepLast: 2 }
worker: { threads: 1 }
ownership: { intervalMs: 100, timeoutMs: 2000 }
`;

let folder = '';
let s3: S3Store;

before(async () => {
  folder = await folderWithData(CONFIG);
  s3 = await S3Store.start(path.join(folder, 'objects'));
  Object.assign(process.env, s3.environment);
});

after(async () => {
  await s3.close();
  await removeFolder(folder);
});

function train(run: string, ...args: string[]): LockstepProcess {
  const common = ['train', 'run.yaml', '--run', run, '--workers', '1', '--log-level', 'debug'];
  return new LockstepProcess([...common, ...args], { cwd: folder });
}

async function newestIn(run: Folder): Promise<CheckpointInfo> {
  const [checkpoint] = await listCheckpoints(run.at('checkpoints'));
  assert.ok(checkpoint);
  return checkpoint;
}

/** Sums of the newest checkpoint's vectors, and its step. */
async function newest(run: Folder): Promise<{ step: number; sums: string[] }> {
  const checkpoint = await newestIn(run);
  const names = ['model.safetensors', 'optimizer.safetensors'];
  const sums = names.map(async (name) => hashBytes((await checkpoint.folder.read(name))!));
  return { step: checkpoint.step, sums: await Promise.all(sums) };
}

const runIn = (name: string): Folder => new DiskFolder(path.join(folder, name));

/** @param run the name of its folder, and of where it is stored */
async function assertSuperseded(run: string, disturbed: Folder, settings: readonly string[]): Promise<void> {
  const again = (...more: string[]): LockstepProcess => train(run, ...settings, ...more);
  const first = again('--set', 'steps=1000000');
  await first.line('a lease of step 6', isLease(6));
  const refused = again();
  assert.equal(await refused.exit(), 2, refused.text());
  assert.match(refused.text(), new RegExp(`error: the run .*${run} is in use by process \\d+ on `));

  first.kill('SIGSTOP');
  const before = (await newest(disturbed)).step;
  const second = again('--set', `steps=${before + STEPS}`);
  assert.equal(await second.exit(), 0, second.text());
  assert.match(second.text(), /has not renewed its term for 2 s: taking the run over/);
  first.kill('SIGCONT');
  assert.equal(await first.exit(), 2, first.text());
  assert.match(
    first.text(),
    new RegExp(`error: the run .*${run} was taken over by another coordinator \\(term 2\\)`),
  );
  const after = await newest(disturbed);
  assert.equal(after.step, before + STEPS);
  // The first might still have written step-N: the second's name carries its term, and everybody tells the real one.
  const { directory } = await newestIn(disturbed);
  assert.match(directory, /\/step-\d+-term-2$/);
  assert.ok(second.lines.some(says(`Checkpoint (a Hugging Face model): ${directory}`)), second.text());
  const status = new LockstepProcess(['status', run], { cwd: folder });
  assert.equal(await status.exit(), 0, status.text());
  assert.match(status.text(), new RegExp(`Newest checkpoint: ${directory}`));

  const undisturbed = train(`${run}-undisturbed`, '--set', `steps=${before + STEPS}`);
  assert.equal(await undisturbed.exit(), 0, undisturbed.text());
  assert.deepEqual(await newest(runIn(`${run}-undisturbed`)), after);
}

const title = 'a coordinator that stood still is superseded, stops by itself, and changes no bit';
test(`${title}: on disk`, () => assertSuperseded('on-disk', runIn('on-disk'), []));

test(`${title}: in S3, where models are used, too`, async () => {
  const url = s3.urlOf('runs/in-s3');
  await assertSuperseded('in-s3', openS3(url), ['--set', `checkpoints=${url}`]);
  const verify = new LockstepProcess(['verify', url], { cwd: folder });
  assert.equal(await verify.exit(), 0, verify.text());
  for (const model of [url, 'in-s3']) {
    const fill = new LockstepProcess(['fill', model, 'w7 <mask> w11'], { cwd: folder });
    assert.equal(await fill.exit(), 0, fill.text());
  }
});

test('a store that is down for a while costs checkpoints, not training', async () => {
  const url = s3.urlOf('runs/outage');
  let isDown = false;
  s3.fault = (request) => (isDown && request.includes('runs/outage') ? 'slowDown' : undefined);
  const run = train('outage', '--set', `checkpoints=${url}`, '--set', 'steps=1000000');
  await run.line('a checkpoint', says('checkpoint written'));
  isDown = true;
  await run.line('a failure', says('the checkpoint could not be written…'));
  isDown = false;
  await run.nextLine('a later checkpoint', says('checkpoint written'));
  run.kill('SIGINT');
  assert.equal(await run.exit(), 130, run.text());
});
