// A coordinator that is killed in the middle of a multipart upload: what it left in the store is no checkpoint for anybody,
// is cleaned away by the next one, and costs no bit.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import type { Folder } from '../../src/checkpoint/folder.js';
import { listCheckpoints } from '../../src/checkpoint/list.js';
import { inspectManifest } from '../../src/checkpoint/manifest.js';
import { openS3 } from '../../src/checkpoint/s3-open.js';
import { S3Store } from '../support/s3-store.js';
import { folderWithData, removeFolder } from '../support/small-data.js';

const STEPS = 6;

/** Large enough that its moments are uploaded in three parts of 16 MiB, and quick to train. */
const CONFIG = `
data: ./data
model: { width: 384, heads: 4, feedForward: 1536, encoderLayers: 1, decoderLayers: 1, maxLength: 16 }
window: 8
batch: { microBatches: 2, samples: 1 }
steps: ${STEPS}
evaluate: { every: 1000, batches: 1 }
checkpoint: { every: 2, keepLast: 1 }
worker: { threads: 1 }
`;

let folder = '';
let objects = '';
let s3: S3Store;

before(async () => {
  folder = await folderWithData(CONFIG);
  objects = await mkdtemp(path.join(tmpdir(), 'lockstep-objects-'));
  s3 = await S3Store.start(objects);
  Object.assign(process.env, s3.environment);
});

after(async () => {
  await s3.close();
  await removeFolder(folder);
  await rm(objects, { recursive: true, force: true });
});

function train(run: string, ...settings: string[]): LockstepProcess {
  const sets = settings.flatMap((setting) => ['--set', setting]);
  return new LockstepProcess(['train', 'run.yaml', '--run', run, '--workers', '1', ...sets], { cwd: folder });
}

/** Names and sums of the newest checkpoint's vectors, from its manifest. */
async function newest(run: Folder): Promise<unknown> {
  const [checkpoint] = await listCheckpoints(run.at('checkpoints'));
  const found = await inspectManifest(checkpoint!.folder);
  assert.ok(found.status === 'whole');
  return {
    step: checkpoint!.step,
    files: found.manifest.files.filter(({ name }) => /safetensors$/.test(name)),
  };
}

test('a kill in the middle of a multipart upload leaves the checkpoint before it, and the run ends with the same bits', async () => {
  const url = s3.urlOf('runs/killed');
  const killed = train('killed', `checkpoints=${url}`);
  s3.fault = (request) => {
    if (!/^PUT .*step-4\/optimizer\.safetensors\?.*partNumber=2/.test(request)) return undefined;
    s3.fault = () => undefined;
    killed.kill('SIGKILL');
    return 'reset';
  };
  assert.equal(await killed.exit(), 'SIGKILL', killed.text());
  const torn = 'runs/killed/checkpoints/step-4/optimizer.safetensors';
  assert.ok(
    s3.uploads.some(({ key }) => key === torn),
    JSON.stringify(s3.uploads),
  );
  const stored = openS3(url);
  const steps = (await listCheckpoints(stored.at('checkpoints'))).map(({ step }) => step);
  assert.deepEqual(steps, [2]);

  const second = train('killed', `checkpoints=${url}`);
  assert.equal(await second.exit(), 0, second.text());
  assert.match(second.text(), /going on from step 2/);
  assert.deepEqual(s3.uploads, []);
  assert.ok(!existsSync(path.join(folder, 'killed', 'spool', 'runs', 'killed', 'checkpoints', 'step-4')));

  const undisturbed = train('undisturbed');
  assert.equal(await undisturbed.exit(), 0, undisturbed.text());
  assert.deepEqual(await newest(stored), await newest(new DiskFolder(path.join(folder, 'undisturbed'))));
});
