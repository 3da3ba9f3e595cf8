// What a user sees when a run is broken off, or cannot begin: a sentence and an exit code, from real processes.
import assert from 'node:assert/strict';
import { cp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { isLease } from '../../bench/support/log-lines.js';
import { runLockstep } from '../../bench/support/run-lockstep.js';
import { folderWithData, removeFolder } from '../support/small-data.js';

const CONFIG = `
data: ./data
model: { width: 16, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, maxLength: 16 }
window: 8
batch: { microBatches: 2, samples: 2 }
reducers: 3
`;

const CANNOT_COMPUTE = /precision: bfloat16 cannot be computed here, since .*: use precision: float32/;

let folder = '';

before(async () => {
  folder = await folderWithData(CONFIG, { words: 30_000, validationShare: 0.3 });
});

after(() => removeFolder(folder));

function coordinator(...args: string[]): LockstepProcess {
  const bind = ['--bind', 'tcp://127.0.0.1:*', '--log-level', 'debug'];
  return new LockstepProcess(['coordinator', 'run.yaml', ...bind, ...args], { cwd: folder });
}

test('Ctrl-C twice ends a coordinator by that signal, whatever its threads are doing', async () => {
  const run = coordinator();
  const { url } = await run.listening();
  const worker = new LockstepProcess(['worker', url, '--patience', '0'], { cwd: folder });
  await run.line('a lease', isLease());
  worker.kill('SIGSTOP'); // the step cannot be finished
  run.kill('SIGINT');
  await run.line('that it will end', ({ msg }) => msg.startsWith('Finishing the step'));
  run.kill('SIGINT');
  const ended = await run.exit();
  worker.kill('SIGKILL');
  await worker.exit();
  assert.equal(ended, 'SIGINT', run.text());
  assert.match(run.text(), /Stopped at once/);
});

test('a run whose workers cannot compute what it asks for ends at once, with a sentence and exit code 2', async () => {
  const asked = ['--run', 'refused', '--set', 'precision=bfloat16'];
  const begin = coordinator(...asked);
  await begin.listening();
  begin.kill('SIGINT');
  assert.equal(await begin.exit(), 130, begin.text());
  const env = { LOCKSTEP_ISA: 'avx512' }; // has no bfloat16
  const run = new LockstepProcess(['train', 'run.yaml', ...asked, '--workers', '2'], { cwd: folder, env });
  assert.equal(await run.exit(), 2, run.text());
  assert.match(run.text(), CANNOT_COMPUTE);
  assert.match(run.text(), /error: worker-\d cannot work here; it says why above/);
});

test('a run that local workers could not compute is not made', async () => {
  const without: readonly [setting: string, env: Record<string, string>, words: RegExp][] = [
    ['precision=bfloat16', { LOCKSTEP_ISA: 'avx512' }, CANNOT_COMPUTE],
    ['worker.device=cuda', { LOCKSTEP_CUDA_LIBRARY: '/no/such' }, /the CUDA kernels .* are not there/],
  ];
  for (const [setting, env, words] of without) {
    const args = ['train', 'run.yaml', '--workers', '2', '--run', 'none', '--set', setting];
    const run = new LockstepProcess(args, { cwd: folder, env });
    assert.equal(await run.exit(), 2, run.text());
    assert.match(run.text(), words);
    assert.equal(run.text().match(/error:/g)?.length, 1, run.text());
    await assert.rejects(stat(path.join(folder, 'none')), { code: 'ENOENT' });
  }
});

test('validation data that are cut off end the run in order, with the file and exit code 2', async () => {
  const settings = ['evaluate.every=2', 'evaluate.batches=8', 'steps=1000000', 'data=cut'];
  await cp(path.join(folder, 'data'), path.join(folder, 'cut'), { recursive: true });
  const run = coordinator('--run', 'cut-off', ...settings.flatMap((setting) => ['--set', setting]));
  const { url } = await run.listening();
  const worker = new LockstepProcess(['worker', url, '--patience', '0'], { cwd: folder });
  await run.line('a lease', isLease());
  await truncate(path.join(folder, 'cut', 'validation-00000.bin'), 0);
  assert.equal(await run.exit(), 2, run.text());
  assert.match(run.text(), /error: cannot read \d+ bytes at \d+ of .*validation-00000\.bin/);
  worker.kill('SIGKILL');
  await worker.exit();
});

test('a run whose last checkpoint cannot be written is none that is completed', async () => {
  const run = coordinator('--run', 'unsaved', '--set', 'steps=2');
  const { url } = await run.listening();
  const checkpoints = path.join(folder, 'unsaved', 'checkpoints');
  await rm(checkpoints, { recursive: true, force: true });
  await writeFile(checkpoints, 'in the way');
  const worker = new LockstepProcess(['worker', url, '--patience', '0'], { cwd: folder });
  assert.equal(await run.exit(), 2, run.text());
  await worker.exit();
  assert.match(run.text(), /error: the last checkpoint of .* could not be written; .* begins again"/);
  const status = await runLockstep(['--json', 'status', path.join(folder, 'unsaved')]);
  assert.equal((JSON.parse(status.out) as { state: string }).state, 'failed', status.out);
});

test('a model that no memory can hold is refused with a sentence', async () => {
  const huge = ['width=65536', 'feedForward=262144', 'encoderLayers=256'];
  const run = coordinator(...huge.flatMap((setting) => ['--set', `model.${setting}`]));
  assert.equal(await run.exit(), 2);
  assert.match(run.text(), /error: a model of \d+ parameters does not fit/);
  assert.doesNotMatch(run.text(), / {4}at /);
});
