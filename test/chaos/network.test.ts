// The network between coordinator and workers fails or is slow.
import { hasLeft, isCommit, isLease, says } from '../../bench/support/log-lines.js';
import { chaosCases } from './cases.js';
import { Link, type Direction, type Line } from './links.js';
import type { Scene } from './scene.js';

const chaos = chaosCases();

/** Runs `body` with a link for each worker; closes them at the end of the run. */
async function linked(
  scene: Scene,
  count: number,
  line: Line | undefined,
  body: (links: Link[]) => Promise<void>,
) {
  const links = await Promise.all(Array.from({ length: count }, () => Link.to(scene, line)));
  try {
    await body(links);
    await scene.coordinator.exit();
  } finally {
    for (const link of links) link.close();
  }
}

/** One worker is cut off in a step, given up, and found again; from step 7 on it is the only one. */
async function partitionOne(scene: Scene, directions: readonly Direction[]): Promise<void> {
  const coordinator = await scene.startCoordinator();
  await linked(scene, 1, undefined, async ([link]) => {
    const cutOff = scene.worker('cut-off', { url: link!.urlOf(scene) });
    await coordinator.line('work for it', isLease(1, 'cut-off'));
    link!.cut(...directions);
    scene.worker('other', { failpoint: { point: 'when it gets a lease', step: 7, signal: 'SIGKILL' } });
    await coordinator.line('that it is given up', hasLeft('cut-off'));
    await coordinator.line('steps without it', isCommit(4));
    await cutOff.line('that it has noticed', says('session ended: …'));
    link!.heal();
    await coordinator.line('work for it again', isLease(7, 'cut-off'));
  });
}

chaos('one worker is cut off from the coordinator', { model: 'chunked', bothFormats: true }, (scene) =>
  partitionOne(scene, ['toCoordinator', 'toWorker']),
);

chaos('a worker hears the coordinator and is not heard', {}, (scene) =>
  partitionOne(scene, ['toCoordinator']),
);

chaos('a worker is heard by the coordinator and does not hear it', { full: true }, (scene) =>
  partitionOne(scene, ['toWorker']),
);

chaos('all workers are cut off at once', { model: 'chunked', full: true }, async (scene) => {
  const coordinator = await scene.startCoordinator();
  await linked(scene, 2, undefined, async (links) => {
    const names = ['a', 'b'];
    names.map((name, i) => scene.worker(name, { url: links[i]!.urlOf(scene) }));
    await coordinator.line('work', isLease(2));
    for (const link of links) link.cut('toCoordinator', 'toWorker');
    await Promise.any(names.map((name) => coordinator.line('that it is given up', hasLeft(name))));
    for (const link of links) link.heal();
  });
});

chaos('300 ms of latency and 5 % of loss', { model: 'tiny' }, async (scene) => {
  const coordinator = await scene.startCoordinator();
  const line = { delayMs: 150, bytesPerSecond: 27_000, loss: 0.05 };
  await linked(scene, 2, line, async (links) => {
    for (const [i, link] of links.entries()) scene.worker(`far-${i}`, { url: link.urlOf(scene) });
    await coordinator.exit();
  });
});

chaos('a line of 10 Mbit/s', { model: 'small', full: true }, async (scene) => {
  const coordinator = await scene.startCoordinator();
  await linked(scene, 2, { delayMs: 5, bytesPerSecond: 1_250_000, loss: 0 }, async (links) => {
    for (const [i, link] of links.entries()) scene.worker(`slow-line-${i}`, { url: link.urlOf(scene) });
    await coordinator.exit();
  });
});
