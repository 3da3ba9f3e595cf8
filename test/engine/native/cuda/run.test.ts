// A run whose workers compute on the CUDA device: real processes and sockets.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LockstepProcess } from '../../../../bench/support/lockstep-process.js';
import { folderWithData, hashOfTrained, removeFolder } from '../../../support/small-data.js';
import { openTestDevice } from './device.js';

const { info } = await openTestDevice(); // names the library for the processes, too
const STEPS = 4;

const CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 16, heads: 2, feedForward: 32, encoderLayers: 1, decoderLayers: 1, maxLength: 16 }
objective: { kind: causal }
window: 12
batch: { microBatches: 4, samples: 2 }
steps: ${STEPS}
precision: bfloat16
evaluate: { every: 4, batches: 1 }
worker: { device: cuda }
`;

describe(`a run on ${info.name}`, () => {
  let folder = '';

  before(async () => {
    const data = { words: 4000, distinctWords: 101, vocabularySize: 300, validationShare: 0.2 };
    folder = await folderWithData(CONFIG, data);
  });

  after(() => removeFolder(folder));

  async function trained(workers: number): Promise<string> {
    const directory = path.join(folder, `run-${workers}`);
    // All workers on one card.
    const env = { CUDA_VISIBLE_DEVICES: '0' };
    const args = ['train', 'run.yaml', '--run', directory, '--workers', `${workers}`];
    const run = new LockstepProcess(args, { cwd: folder, env });
    assert.equal(await run.exit(), 0, run.text());
    return hashOfTrained(directory, STEPS);
  }

  test('one worker and two train the same bits', async () => {
    const [one, two] = await Promise.all([1, 2].map(trained));
    assert.equal(one, two);
  });

  test('a worker for which there is no device is refused with those that are there, and others train on', async () => {
    const args = ['run.yaml', '--run', path.join(folder, 'many'), '--workers', '2', '--set', 'steps=1000000'];
    const run = new LockstepProcess(['train', ...args], {
      cwd: folder,
      env: { CUDA_VISIBLE_DEVICES: undefined },
    });
    const sentence = /expected a CUDA device that this process may use, got cuda:1: there are cuda:0/;
    await run.line('the refusal', ({ msg }) => sentence.test(msg));
    await run.line('the other worker', ({ msg }) => msg.startsWith('worker-1 on '));
    run.kill('SIGINT');
    assert.equal(await run.exit(), 130, run.text());
  });
});
