// A training step of one of this project's engines as a process of its own, for `npm run bench -- engine`. It speaks as
// torch_peer.py does: commands on stdin, each answered by one line of JSON on stdout. {"steps": N} runs one training step, and
// then N of which it gives the seconds, and those inside kernels or, of further steps, the share in which a device waited; the
// first line describes the process once it is warm. Ends with its input.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { loadEngine } from '../../src/engine/load.js';
import { loadAddon } from '../../src/engine/native/load.js';
import { type DeviceName, engineNames, precisions } from '../../src/engine/names.js';
import { DeviceStep } from '../support/device-step.js';
import { TrainingStep } from '../support/training-step.js';

const names = [
  'vocabulary',
  'width',
  'heads',
  'ff',
  'layers',
  'samples',
  'length',
  'threads',
  'warm-up',
  'compile-steps',
];
const { values } = parseArgs({
  options: Object.fromEntries(
    [...names, 'precision', 'engine', 'device'].map((name) => [name, { type: 'string' as const }]),
  ),
});
const number = (name: string): number => Number(values[name]);
const precision = precisions.find((known) => known === values['precision']);
if (precision === undefined) throw new Error(`expected a precision, got ${String(values['precision'])}`);

const addon = loadAddon();
const name = engineNames.find((known) => known === values['engine']);
if (name === undefined) throw new Error(`expected an engine, got ${String(values['engine'])}`);
const device = (values['device'] ?? 'cpu') as DeviceName;
const engine = await loadEngine(name, { threads: number('threads'), precision, device });
const StepOfDevice = device === 'cpu' ? TrainingStep : DeviceStep;
const workload = {
  name: '',
  vocabulary: number('vocabulary'),
  width: number('width'),
  heads: number('heads'),
  feedForward: number('ff'),
  layers: number('layers'),
  samples: number('samples'),
  length: number('length'),
};
// In a run of hours JavaScript is compiled: a tiny model of as many layers has V8 do that within a second.
const tiny = { vocabulary: 64, width: 16, heads: 1, feedForward: 16, samples: 1, length: 2 };
const warming = new StepOfDevice(engine, { ...workload, ...tiny }, precision);
for (let i = 0; i < number('compile-steps'); i++) warming.run();
const training = new StepOfDevice(engine, workload, precision);
for (let i = 0; i < number('warm-up'); i++) training.run();
const { matmul, isa } = engine.fingerprint;
answer({ version: `${matmul}, ${isa}`, parameters: training.layout.trainable });

for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = JSON.parse(line) as { steps: number };
  training.run(); // the others ran meanwhile, and in a run a step follows another
  addon.kernelTimes(); // and forgotten
  const seconds = Array.from({ length: steps }, step);
  if (device !== 'cpu') answer({ seconds, waitShare: waitShare(steps) });
  else answer(name === 'native' ? { seconds, kernels: addon.kernelTimes() } : { seconds });
}

/** Of steps that are not timed: looking costs time. */
function waitShare(steps: number): number {
  addon.cuda.starved(true);
  const seconds = Array.from({ length: steps }, step).reduce((sum, each) => sum + each, 0);
  return addon.cuda.starved(false) / seconds;
}

function step(): number {
  const startedAt = performance.now();
  training.run();
  return (performance.now() - startedAt) / 1000;
}

function answer(fields: object): void {
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ ...fields, peakBytes })}\n`);
}
