// What a worker thread of engine.test.ts runs: one training step of the small network on an engine of its own.
import { createHash } from 'node:crypto';
import { isMainThread, parentPort } from 'node:worker_threads';
import { loadEngine } from '../../src/engine/load.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import { DROPOUT } from './cases.js';
import { network, networkParameters } from './network.js';
import { floats, scoped } from './support.js';

/** Hash of the network's loss and gradients. */
export function networkDigest(): string {
  const hash = createHash('sha256');
  scoped(() => {
    const parameters = networkParameters();
    const { loss, correct } = valueAndGradients(
      () => network(parameters, { norm: 'pre', activation: 'gelu', dropout: DROPOUT }),
      parameters,
      (index, gradient) => hash.update(`${index}`).update(floats(gradient!)),
    );
    hash.update(`${loss} ${correct}`);
  });
  return hash.digest('hex');
}

if (!isMainThread) {
  await loadEngine('native', { threads: 2 });
  parentPort!.postMessage(networkDigest());
}
