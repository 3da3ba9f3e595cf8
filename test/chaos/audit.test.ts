// Workers that compute wrongly, and gradients that are not finite: real processes and sockets. What was trained is
// compared by the SHA-256 of the last checkpoint's tensors.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { folderWithData, hashOfTrained, removeFolder } from '../support/small-data.js';
import { IS_FULL } from './cases.js';
import { failpointEnvironment } from './failpoints.js';

const STEPS = 6;

const CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 16, heads: 2, feedForward: 32, encoderLayers: 1, decoderLayers: 1, maxLength: 16 }
window: 8
batch: { microBatches: 6, samples: 2 }
steps: ${STEPS}
evaluate: { every: 100, batches: 1 }
checkpoint: { every: 2 }
heartbeat: { timeoutMs: 60000 }
`;

let folder = '';
let runs = 0;

before(async () => {
  folder = await folderWithData(CONFIG);
});

after(() => removeFolder(folder));

interface Ended {
  readonly directory: string;
  readonly code: number | NodeJS.Signals;
  readonly coordinator: LockstepProcess;
  readonly workers: readonly LockstepProcess[];
}

/** The first worker stands still at its first lease until the others are there: who is audited needs others from the start. */
const WAITS = failpointEnvironment({ point: 'when it gets a lease', step: 0, signal: 'SIGSTOP' });

/** A run to its end. Of each worker: the fault that it makes, or null. */
async function run(settings: readonly string[], faults: readonly (string | null)[]): Promise<Ended> {
  const directory = path.join(folder, `run-${++runs}`);
  const set = settings.flatMap((setting) => ['--set', setting]);
  const bind = ['--bind', 'tcp://127.0.0.1:*', '--log-level', 'info'];
  const args = ['run.yaml', '--run', directory, ...bind, ...set];
  const coordinator = new LockstepProcess(['coordinator', ...args], { cwd: folder });
  const { url } = await coordinator.listening();
  const start = (i: number, env?: NodeJS.ProcessEnv): LockstepProcess => {
    const options = ['--name', `worker-${i}`, '--threads', '1'];
    const fault = faults[i] ? ['--fault', faults[i]] : [];
    return new LockstepProcess(['worker', url, ...options, ...fault], { cwd: folder, env });
  };
  const first = start(0, WAITS);
  await first.stopped();
  const others = [...faults.keys()].slice(1);
  const workers = [first, ...others.map((i) => start(i))];
  for (const i of others) {
    await coordinator.line(`worker-${i} is there`, ({ msg }) => msg.startsWith(`worker-${i} on `));
  }
  first.kill('SIGCONT');
  const code = await coordinator.exit();
  await Promise.all(workers.map((worker) => worker.exit()));
  return { directory, code, coordinator, workers };
}

async function hash({ directory, code, coordinator }: Ended): Promise<string> {
  assert.equal(code, 0, coordinator.text());
  return hashOfTrained(directory, STEPS);
}

function says({ coordinator }: Ended, pattern: RegExp): boolean {
  return coordinator.lines.some(({ msg }) => pattern.test(msg));
}

for (const wire of IS_FULL ? ['float32', 'bfloat16'] : ['float32']) {
  describe(`with the wire ${wire}, a worker that flips one bit of its gradients`, () => {
    test('is named and expelled, and nothing of it is trained on', async () => {
      const clean = await run([`wire=${wire}`], [null]);
      const disturbed = await run([`wire=${wire}`, 'audit=1', 'reducers=2'], [null, 'flip:2', null]);
      assert.equal(await hash(disturbed), await hash(clean));
      assert.ok(says(disturbed, /^worker-1 on .* computed another gradient than two others: step \d/));
      assert.ok(says(disturbed, /^worker-1 on .* left: an audit found that it computes wrongly/));
      const [, expelled] = disturbed.workers;
      assert.equal(await expelled!.exit(), 2);
      assert.match(expelled!.text(), /refused this worker: .*an audit found/);
    });

    test('stops a run of two, which says why and keeps the last good checkpoint', async () => {
      const stopped = await run([`wire=${wire}`, 'audit=1'], [null, 'flip:2']);
      assert.equal(stopped.code, 2, stopped.coordinator.text());
      assert.ok(
        says(stopped, /worker-\d on .* and worker-\d on .* computed different gradients, and no other/),
      );
      assert.ok(says(stopped, /^error: .*the newest checkpoint is of step \d|no checkpoint was written yet/));
    });
  });
}

test('a gradient that is not finite, twice, skips its step alike for any workers, and is named', async () => {
  const one = await run([], ['overflow:3:4']);
  const two = await run(['reducers=2'], ['overflow:3:4', 'overflow:3:4']);
  assert.equal(await hash(two), await hash(one));
  for (const ended of [one, two]) {
    const named =
      /^step 3 is skipped: the gradient of model.shared.weight in micro-batch 4 is not finite, twice/;
    assert.ok(says(ended, named), ended.coordinator.text());
  }
});

const TOO_MANY =
  'so many steps skipped in a row that maxSkips is reached stop the run with the checkpoint before them';

test(TOO_MANY, { skip: IS_FULL ? false : 'a case of npm run chaos' }, async () => {
  const stopped = await run(['maxSkips=1'], ['overflow:3:0']);
  assert.equal(stopped.code, 2, stopped.coordinator.text());
  assert.ok(
    says(stopped, /^error: the gradient was not finite in step 3; .* the newest checkpoint is of step 2/),
  );
});
