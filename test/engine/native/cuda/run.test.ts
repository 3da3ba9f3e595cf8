// A run whose workers compute on the CUDA device: real processes and sockets.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { prepare } from '../../../../src/data/prepare.js';
import { Lockstep } from '../../../chaos/processes.js';
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
    folder = await mkdtemp(path.join(tmpdir(), 'lockstep-cuda-'));
    const words = Array.from({ length: 4000 }, (_, i) => `w${(i * i + 7 * i) % 101}`);
    await writeFile(path.join(folder, 'text.txt'), words.join(' '));
    await writeFile(path.join(folder, 'run.yaml'), CONFIG);
    const inputs = [path.join(folder, 'text.txt')];
    await prepare({ inputs, out: path.join(folder, 'data'), vocabularySize: 300, validationShare: 0.2 });
  });

  after(() => rm(folder, { recursive: true, force: true }));

  async function weights(workers: number): Promise<string> {
    const directory = path.join(folder, `run-${workers}`);
    // All workers on one card.
    const env = { CUDA_VISIBLE_DEVICES: '0' };
    const args = ['train', 'run.yaml', '--run', directory, '--workers', `${workers}`];
    const run = new Lockstep(args, { cwd: folder, env });
    assert.equal(await run.exit(), 0, run.text());
    const file = path.join(directory, 'checkpoints', `step-${STEPS}`, 'model.safetensors');
    return createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  }

  test('one worker and two train the same bits', async () => {
    const [one, two] = await Promise.all([1, 2].map(weights));
    assert.equal(one, two);
  });

  test('a worker for which there is no device is refused with those that are there, and others train on', async () => {
    const args = ['run.yaml', '--run', path.join(folder, 'many'), '--workers', '2', '--set', 'steps=1000000'];
    const run = new Lockstep(['train', ...args], { cwd: folder, env: { CUDA_VISIBLE_DEVICES: undefined } });
    const sentence = /expected a CUDA device that this process may use, got cuda:1: there are cuda:0/;
    await run.line('the refusal', ({ msg }) => sentence.test(msg));
    await run.line('the other worker', ({ msg }) => msg.startsWith('worker-1 on '));
    run.kill('SIGINT');
    assert.equal(await run.exit(), 130, run.text());
  });
});
