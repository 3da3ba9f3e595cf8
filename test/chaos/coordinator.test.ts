// A coordinator that is killed with kill -9, at each point of a step and of a checkpoint, and started again. Its workers
// stay: they look for it, and go on with what it read from the newest checkpoint.
import { chaosCases } from './cases.js';
import { pointsOfCheckpoint, pointsOfStep, type CoordinatorPoint } from './failpoints.js';
import type { Scene } from './scene.js';

const chaos = chaosCases();

/** Kills a coordinator at each of the points, each in a later step, and lets the last one finish. */
async function killAt(scene: Scene, points: readonly { point: CoordinatorPoint; step: number }[]) {
  const signal = 'SIGKILL';
  const [first, ...others] = points.map((at) => ({ ...at, signal }) as const);
  await scene.startCoordinator({ failpoint: first });
  for (const name of ['a', 'b']) scene.worker(name);
  await scene.killed();
  for (const failpoint of others) {
    await scene.startCoordinator({ failpoint });
    await scene.killed();
  }
  await scene.startCoordinator();
}

const inSteps = [1, 2, 3, 5, 6]; // step 6 is the first evaluation's
const atCheckpoints = [2, 4, 6, 8, 10];

chaos('the coordinator is killed with kill -9 at each point of a step', { model: 'chunked' }, (scene) =>
  killAt(
    scene,
    pointsOfStep.map((point, i) => ({ point, step: inSteps[i]! })),
  ),
);

chaos(
  'the coordinator is killed with kill -9 at each point of a checkpoint',
  { settings: ['reducers=2'] },
  (scene) =>
    killAt(
      scene,
      pointsOfCheckpoint.map((point, i) => ({ point, step: atCheckpoints[i]! })),
    ),
);

for (const point of [...pointsOfStep, ...pointsOfCheckpoint]) {
  const options = { model: 'chunked', settings: ['reducers=3'], full: true, bothFormats: true } as const;
  chaos(`the coordinator is killed with kill -9 ${point}`, options, (scene) =>
    killAt(scene, [{ point, step: 6 }]),
  );
}
