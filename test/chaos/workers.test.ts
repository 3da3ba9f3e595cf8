// Workers that die, stand still, are slow, or come and go.
import { setTimeout as delay } from 'node:timers/promises';
import type { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { hasLeft, isCommit, isLease, says } from '../../bench/support/log-lines.js';
import { chaosCases } from './cases.js';
import type { Failpoint, WorkerPoint } from './failpoints.js';

const chaos = chaosCases();

function killed(point: WorkerPoint, step: number): { failpoint: Failpoint } {
  return { failpoint: { point, step, signal: 'SIGKILL' } };
}

chaos(
  'workers are killed with kill -9 on a lease, while they send and when they have computed, until none is left',
  { model: 'chunked', settings: ['reducers=3'], bothFormats: true },
  async (scene) => {
    await scene.startCoordinator();
    const doomed = [
      scene.worker('a', killed('when it gets a lease', 1)),
      scene.worker('b', killed('while it sends', 2)),
      scene.worker('c', killed('when it has computed', 3)),
    ];
    for (const worker of doomed) await scene.killed(worker);
    scene.worker('d');
  },
);

chaos(
  'a worker flaps: it joins and dies, over and over',
  { full: true, bothFormats: true },
  async (scene) => {
    await scene.startCoordinator();
    for (const step of [0, 1, 1, 3]) await scene.killed(scene.worker('f', killed('while it sends', step)));
    scene.worker('g');
  },
);

chaos(
  'a worker is stopped while it sends, given up, and comes back with old work',
  { model: 'chunked', bothFormats: true },
  async (scene) => {
    const coordinator = await scene.startCoordinator();
    const zombie = scene.worker('zombie', {
      failpoint: { point: 'while it sends', step: 2, signal: 'SIGSTOP' },
    });
    scene.worker('other', killed('when it gets a lease', 7)); // from there on it needs the zombie
    await coordinator.line('work for it', isLease(2, 'zombie'));
    await coordinator.nextLine('that the zombie is given up', hasLeft('zombie'));
    await coordinator.line('steps without it', isCommit(4));
    zombie.kill('SIGCONT');
    await zombie.line('that its session is over', says('session ended: …'));
    await coordinator.line('work for it', isLease(7, 'zombie'));
  },
);

chaos('a worker is ten times slower', { model: 'chunked' }, async (scene) => {
  const coordinator = await scene.startCoordinator();
  const slow = scene.worker('slow');
  await coordinator.line('work for it', isLease(0, 'slow'));
  void slowDown(slow);
  scene.worker('quick');
  await coordinator.exit();
});

/** Lets it run for a tenth of the time. */
async function slowDown(worker: LockstepProcess): Promise<void> {
  while (worker.kill('SIGSTOP')) {
    await delay(45);
    worker.kill('SIGCONT');
    await delay(5);
  }
}
