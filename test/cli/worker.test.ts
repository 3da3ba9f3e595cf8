// What a worker says of the coordinator that it looks for, and of what it lacks itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { installedPackage } from '../../src/engine/tensorflow/package.js';

test('a worker whose coordinator has a name that is not known here says so, goes on looking, and says so at the end', async () => {
  const worker = new LockstepProcess(['worker', 'tcp://coordinator.invalid:7117', '--patience', '1']);
  assert.equal(await worker.exit(), 2, worker.text());
  const unknown = 'the host coordinator.invalid is not known here';
  const said = worker.lines.map(({ msg }) => msg);
  assert.ok(said[0]!.startsWith(`no coordinator yet: ${unknown}`), worker.text());
  assert.match(said[0]!, /looking for 1 s$/);
  const end = `error: no coordinator answered at tcp://coordinator.invalid:7117 for 1 s: ${unknown}`;
  assert.ok(said[1]!.startsWith(end), worker.text());
});

test('a worker that looks for a host which is not known here can be stopped', async () => {
  const worker = new LockstepProcess(['worker', 'tcp://coordinator.invalid:7117']);
  await worker.line('that it looks', ({ msg }) => msg.startsWith('no coordinator yet'));
  worker.kill('SIGTERM');
  assert.equal(await worker.exit(), 130, worker.text());
});

/** What a worker says that looks for a coordinator where none is, for ten minutes. */
async function refusal(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const worker = new LockstepProcess(['worker', 'tcp://127.0.0.1:1', ...args], { env });
  assert.equal(await worker.exit(), 2, worker.text());
  return worker.lines.map(({ msg }) => msg);
}

test('a worker whose device is not there says so, and looks for no coordinator', async () => {
  const said = await refusal(['--device', 'cuda:0'], { LOCKSTEP_CUDA_LIBRARY: '/nowhere/cuda.so' });
  assert.match(said.join('\n'), /^error: the CUDA kernels \/nowhere\/cuda\.so are not there: .*$/);
});

test(
  'a worker whose engine is not set up says so, and looks for no coordinator',
  { skip: installedPackage() !== null && 'TensorFlow is set up here' },
  async () => {
    const said = await refusal(['--engine', 'tensorflow']);
    assert.match(said.join('\n'), /^error: the tensorflow engine is not installed: run .*$/);
  },
);
