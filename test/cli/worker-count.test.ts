import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseWorkers, visibleGpus } from '../../src/cli/worker-count.js';

const cpu = { engine: 'native', device: 'cpu', threads: 'auto' } as const;

test('there is a worker for each GPU where workers compute on GPUs, otherwise as many as the cores carry', () => {
  const machine = { cores: 16, gpus: 4 };
  assert.deepEqual(chooseWorkers(cpu, machine), { count: 16, reason: 'one for each core of 16' });
  assert.equal(chooseWorkers({ ...cpu, device: 'cuda' }, machine).reason, 'one for each GPU of 4');
  assert.equal(chooseWorkers({ ...cpu, engine: 'tensorflow' }, machine).count, 4);
  assert.equal(chooseWorkers({ ...cpu, engine: 'tensorflow' }, { cores: 16, gpus: 0 }).count, 16);
  assert.equal(chooseWorkers({ ...cpu, threads: 6 }, machine).reason, '6 threads each, on 16 cores');
  assert.equal(chooseWorkers({ ...cpu, threads: 6 }, machine).count, 2);
  assert.equal(chooseWorkers({ ...cpu, threads: 64 }, machine).count, 1);
});

test('GPUs that CUDA_VISIBLE_DEVICES hides are not counted', () => {
  assert.equal(visibleGpus(4, undefined), 4);
  assert.equal(visibleGpus(4, '0,2'), 2);
  assert.equal(visibleGpus(4, ''), 0);
});
