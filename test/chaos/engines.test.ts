// Runs whose workers compute with TensorFlow, alone and beside the native engine. Real processes and sockets.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { isLease } from '../../bench/support/log-lines.js';
import { recordsOf } from '../../bench/support/run-metrics.js';
import { skip } from '../engine/tensorflow/available.js';
import { hashOfTrained, prepareWords } from '../support/small-data.js';

const STEPS = 8;

const CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 64, heads: 2, feedForward: 128, encoderLayers: 1, decoderLayers: 1, maxLength: 32, norm: pre }
objective: { kind: masked, rate: 0.3 }
window: 24
batch: { microBatches: 6, samples: 4 }
optimizer: { learningRate: 0.003, schedule: { kind: constant, warmupSteps: 3 } }
steps: ${STEPS}
evaluate: { every: 4, batches: 3 }
checkpoint: { every: 4 }
worker: { threads: 1, engine: tensorflow }
heartbeat: { intervalMs: 200, timeoutMs: 3000 }
`;

describe('with the tensorflow engine', { skip }, () => {
  let folder = '';
  let runs = 0;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lockstep-engines-'));
    const data = { words: 9000, distinctWords: 301, vocabularySize: 800, validationShare: 0.2 };
    await prepareWords(folder, data);
  });

  after(() => rm(folder, { recursive: true, force: true }));

  async function start(command: string, args: readonly string[] = [], name = `run-${++runs}`) {
    const config = path.join(folder, `${name}.yaml`);
    const directory = path.join(folder, name);
    await writeFile(config, CONFIG);
    const common = [command, config, '--run', directory, '--log-level', 'debug'];
    return { name, directory, process: new LockstepProcess([...common, ...args], { cwd: folder }) };
  }

  /** The loss of the first and of the last step. */
  async function losses(directory: string): Promise<[number, number]> {
    const steps = await recordsOf(directory, 'stepCommitted');
    return [steps[0]!.loss, steps.at(-1)!.loss];
  }

  function join(url: string, engine: string): LockstepProcess {
    const args = ['worker', url, '--name', engine, '--engine', engine, '--threads', '1'];
    return new LockstepProcess(args, { cwd: folder });
  }

  test('one worker and two train the same bits', async () => {
    const started = await Promise.all([1, 2].map((count) => start('train', ['--workers', `${count}`])));
    for (const { process } of started) assert.equal(await process.exit(), 0, process.text());
    const [one, two] = await Promise.all(started.map(({ directory }) => hashOfTrained(directory, STEPS)));
    assert.equal(one, two);
    const [first, last] = await losses(started[0]!.directory);
    assert.ok(last < first - 0.5, `the loss went from ${first} to ${last}`);
  });

  /** A run without an end: fast as the native engine is, TensorFlow still arrives. */
  const ENDLESS = ['steps=1000000', 'evaluate.every=1000000', 'checkpoint.every=1000000', 'batch.samples=32'];

  async function startCoordinator(settings: readonly string[]) {
    const args = settings.flatMap((setting) => ['--set', setting]);
    const started = await start('coordinator', ['--bind', 'tcp://127.0.0.1:*', ...args]);
    const { url } = await started.process.listening();
    return { ...started, url };
  }

  test('a worker loads TensorFlow again for the next session', async () => {
    const { process: first, url, name } = await startCoordinator(['batch.samples=32', 'steps=20']);
    const worker = join(url, 'tensorflow');
    await first.line('a lease of step 5', isLease(5, 'tensorflow'));
    first.kill('SIGKILL');
    assert.equal(await first.exit(), 'SIGKILL');
    const again = ['--bind', url, '--set', 'batch.samples=32', '--set', 'steps=20'];
    const { process: second } = await start('coordinator', again, name);
    for (const process of [second, worker]) assert.equal(await process.exit(), 0, process.text());
    await second.line('a lease after the restart', isLease(5, 'tensorflow'));
  });

  test('a relaxed run trains with both engines and says so', async () => {
    const { process: coordinator, directory, url } = await startCoordinator([...ENDLESS, 'hardware=relaxed']);
    const native = join(url, 'native');
    await coordinator.line('a lease of native', isLease(0, 'native'));
    const tensorflow = join(url, 'tensorflow');
    const joint = await coordinator.line('a lease of tensorflow', isLease(0, 'tensorflow'));
    const isForeign = ({ msg }: { msg: string }): boolean => msg.startsWith('tensorflow on ');
    const { msg } = await coordinator.line('that its bits are others', isForeign);
    assert.match(msg, /computes other bits: tensorflow, TensorFlow \d.*; the run's workers have native/);
    const later = Number(joint['step']) + 5;
    for (const worker of ['native', 'tensorflow']) {
      await coordinator.line(`a later lease of ${worker}`, isLease(later, worker));
    }
    coordinator.kill('SIGINT');
    assert.equal(await coordinator.exit(), 130, coordinator.text());
    for (const process of [native, tensorflow]) assert.equal(await process.exit(), 130, process.text());
    const [first, last] = await losses(directory);
    assert.ok(last < first - 0.2, `the loss went from ${first} to ${last}`);
  });

  test('a strict run of the native engine refuses it', async () => {
    const { process: coordinator, url } = await startCoordinator(ENDLESS);
    const native = join(url, 'native');
    await coordinator.line('a lease of native', isLease(0, 'native'));
    const refused = join(url, 'tensorflow');
    assert.equal(await refused.exit(), 2, refused.text());
    assert.match(refused.text(), /computes other bits/);
    coordinator.kill('SIGINT');
    assert.equal(await coordinator.exit(), 130, coordinator.text());
    assert.equal(await native.exit(), 130, native.text());
  });
});
