// How processes end: exit codes tell whether a run is completed, was stopped, or lost whoever read its output.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { isLease, says } from '../../bench/support/log-lines.js';
import { Stage } from './scene.js';

const stage = new Stage();
after(() => stage.remove());

test('a worker ends with 130 when it or its run is stopped, and with 0 when the run is completed', () =>
  stage.play(async (scene) => {
    const coordinator = await scene.startCoordinator();
    const leaving = scene.worker('leaving');
    await coordinator.line('work for it', isLease(0, 'leaving'));
    leaving.kill('SIGTERM');
    assert.equal(await leaving.exit(), 130, leaving.text());
    const staying = scene.worker('staying');
    await coordinator.line('work for it', isLease(0, 'staying'));
    coordinator.kill('SIGTERM');
    assert.equal(await coordinator.exit(), 130, coordinator.text());
    assert.equal(await staying.exit(), 130, staying.text());
    await scene.startCoordinator();
    const last = scene.worker('last');
    await scene.finish();
    assert.equal(await last.exit(), 0, last.text());
  }));

test('a coordinator that stays tells late workers that the run is completed, and ends when it is told to', () =>
  stage.play(async (scene) => {
    const coordinator = await scene.startCoordinator({ args: ['--stay', '--http', '127.0.0.1:0'] });
    const page = await coordinator.told('where its page is', /Live page: (http:\S+)/);
    const first = scene.worker('first');
    await coordinator.line('that it stays', says('The run is completed. …'));
    assert.equal(await first.exit(), 0, first.text());
    for (const path of ['/', '/metrics', '/readyz'])
      assert.equal((await fetch(page + path)).status, 200, path);
    const late = scene.worker('late');
    assert.equal(await late.exit(), 0, late.text());
    assert.match(late.text(), /session ended: the run is completed/);
    coordinator.kill('SIGTERM');
    assert.equal(await coordinator.exit(), 0, coordinator.text());
    // Resumed with nothing to do, it stays as well.
    const again = await scene.startCoordinator({ args: ['--stay'] });
    await again.line('that it stays', says('The run is completed. …'));
    again.kill('SIGINT');
    assert.equal(await again.exit(), 0, again.text());
  }));

test('a run whose output nobody reads any more stops in order, and leaves no worker behind', () =>
  stage.play(async (scene) => {
    // The pipe is closed after its first line, and after one that only comes when workers compute.
    for (const last of ['Training', 'Step ']) {
      const script = `exec 3>&1; "$@" 2>&1 | sed -u '/^${last}/q'; exit "\${PIPESTATUS[0]}"`;
      const within = ['bash', '-c', script, 'bash'];
      const args = ['--workers', '2', '--set', 'steps=1000000', '--set', 'evaluate.every=2'];
      const run = await scene.start('train', { args, within });
      // Its end is that of everything that has inherited descriptor 3, workers too.
      assert.equal(await run.exit(), 130, run.text());
    }
  }));
