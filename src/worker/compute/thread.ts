// A worker's compute thread: model, backward and nothing else, so that computing never delays a heartbeat.
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { loadEngine } from '../../engine/load.js';
import type { EngineChoice } from '../../engine/names.js';
import { assert } from '../../util/errors.js';
import { Control, LOADED, type FromCompute, type ToCompute } from './port.js';
import { probe } from './probe.js';
import { Trainer } from './trainer.js';

assert(parentPort, 'compute/thread.ts is the entry of a worker thread');
const port = parentPort;
const tell = (message: FromCompute): void => port.postMessage(message);
const choice = workerData as EngineChoice;
await loadEngine(choice.engine, choice); // what is not here is said before anybody relies on this worker
port.postMessage(LOADED);
const [first] = (await once(port, 'message')) as [ToCompute];
assert(first.type === 'setup', 'a compute thread is set up before it is given work');
const { setup } = first;
const control = new Int32Array(setup.control);

const { precision, emulate } = setup.job;
const engine = await loadEngine(choice.engine, { ...choice, precision, emulate });
const trainer = new Trainer({
  engine,
  job: setup.job,
  parameters: setup.parameters,
  gradients: setup.gradients,
  fault: setup.fault,
});

port.on('message', (message: Exclude<ToCompute, { type: 'setup' }>) => {
  const startedAt = performance.now();
  const stats = compute(message);
  const { id } = message;
  if (stats) tell({ type: 'computed', id, stats, seconds: (performance.now() - startedAt) / 1000 });
  else tell({ type: 'cancelled', id });
});
tell({ type: 'ready', fingerprint: engine.fingerprint, probe: probe(engine) });

function compute(message: Exclude<ToCompute, { type: 'setup' }>): ReturnType<Trainer['computeNode']> {
  if (message.type === 'evaluation') {
    return [trainer.evaluate(message.version, message.batch, message.slot)];
  }
  const { id, step, node, batches, slot, buffer } = message;
  return trainer.computeNode(step, node, batches, slot, buffer, {
    chunk: (chunk) => tell({ type: 'chunk', id, chunk }),
    progress: () => Atomics.add(control, Control.progress, 1),
    isCancelled: () => Atomics.load(control, Control.cancelledId) === id,
  });
}
