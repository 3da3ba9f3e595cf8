// The promise: the trained weights and the optimiser's state are the same bits for any number of workers, threads and
// reducers, and when a run is stopped and goes on. Real processes and sockets.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { isLease } from '../../bench/support/log-lines.js';
import { loadAddon } from '../../src/engine/native/load.js';
import type { Failpoint } from './failpoints.js';
import { Stage, type Format } from './scene.js';

const stage = new Stage();
after(() => stage.remove());

const formats: readonly Format[] = ['float32', 'bfloat16'];

for (const format of formats) {
  test(`other numbers of workers, threads and reducers, and sample predictions, train the same bits in ${format}`, async () => {
    const settings = ['worker.threads=2', 'reducers=3', 'tracking.samples=3'];
    const scene = await stage.scene({ model: 'chunked', format, settings });
    const run = await scene.start('train', { args: ['--workers', '3'] });
    assert.equal(await run.exit(), 0, run.text());
    assert.match(run.text(), /Asking the last model about held-out samples, for at most 10 s/);
    assert.doesNotMatch(run.text(), /There are no sample predictions/);
    await scene.assertSameBits();
  });
}

const noAmx = loadAddon().info().isa !== 'amx' && 'this processor has no AMX';
for (const precision of ['bfloat16', 'bfloat16x6']) {
  test(
    `AMX has bits of its own in ${precision}, and they are the same for other numbers of workers and threads`,
    { skip: noAmx },
    async () => {
      const hashes = await Promise.all(
        [
          ['1', 'worker.threads=1'],
          ['3', 'worker.threads=2'],
        ].map(async ([workers, threads]) => {
          const settings = [`precision=${precision}`, 'emulate=false', threads!];
          const scene = await stage.scene({ model: 'chunked', format: 'bfloat16', settings });
          const run = await scene.start('train', { args: ['--workers', workers!] });
          assert.equal(await run.exit(), 0, run.text());
          return scene.hash();
        }),
      );
      assert.equal(hashes[0], hashes[1]);
      assert.notEqual(hashes[0], await stage.reference({ model: 'chunked', format: 'bfloat16' }));
    },
  );
}

for (const format of formats) {
  test(`an older processor and this one train one run to the same bits in ${format}`, async () => {
    const scene = await stage.scene({ model: 'chunked', format });
    await scene.startCoordinator();
    const failpoint: Failpoint = { point: 'when it gets a lease', step: 3, signal: 'SIGSTOP' };
    const older = scene.worker('older', { env: { LOCKSTEP_ISA: 'avx2' }, failpoint });
    await older.stopped(); // three steps are its own
    scene.worker('this');
    await scene.coordinator.line('a lease of the other one', isLease(3, 'this'));
    older.kill('SIGCONT');
    await scene.finish();
  });
}

test('Ctrl-C ends a run after the step, and the same command goes on to the same bits', async () => {
  const scene = await stage.scene({ model: 'chunked', format: 'float32' });
  const first = await scene.start('train', { args: ['--workers', '2'] });
  await first.line('a lease of step 5', isLease(5));
  first.kill('SIGINT');
  assert.equal(await first.exit(), 130, first.text());
  const second = await scene.start('train', { args: ['--workers', '1'] });
  assert.equal(await second.exit(), 0, second.text());
  const resumed = await second.line('where it goes on', ({ msg }) => msg.includes('going on from step'));
  assert.doesNotMatch(resumed.msg, /step [04]\b/); // the step that Ctrl-C found was finished and saved
  await scene.assertSameBits();
});

test("a checkpoint's validation loss is what eval finds", async () => {
  const scene = await stage.scene({ model: 'small', format: 'float32' });
  const run = await scene.start('train', { args: ['--workers', '1'] });
  assert.equal(await run.exit(), 0, run.text());
  const state = await readFile(scene.checkpoint(scene.steps, 'state.json'), 'utf8');
  const { validationLoss } = JSON.parse(state) as { validationLoss: number };
  const evaluation = scene.run(['eval', scene.directory, '--batches', '3', '--json']);
  assert.equal(await evaluation.exit(), 0, evaluation.text());
  assert.equal(evaluation.lines.find((line) => 'loss' in line)?.['loss'], validationLoss);
});
