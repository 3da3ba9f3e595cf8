// Preloaded into a process under test (NODE_OPTIONS=--import): makes it send itself a signal at one point of one step.
// The points are events and actions of the state machines and the files of a checkpoint, so the product has no hooks.
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import type { Coordinator } from '../../src/coordinator/coordinator.js';
import type { CoordinatorAction, CoordinatorEvent } from '../../src/coordinator/events.js';
import type { WorkerAction, WorkerEvent } from '../../src/worker/events.js';
import type { WorkerMachine } from '../../src/worker/worker.js';

interface Seen<Event, Action> {
  readonly event: Event;
  /** Decided on the event, and not carried out yet. */
  readonly actions: readonly Action[];
}

/** `version`: what the run had completed before the event. */
type CoordinatorSeen = Seen<CoordinatorEvent, CoordinatorAction> & { readonly version: number };

const coordinatorPoints = {
  'when it leases': ({ actions }, step) =>
    actions.some((action) => action.type === 'lease' && action.node.step === step),
  'while chunks arrive': ({ event }, step) => event.type === 'covered' && event.step === step,
  'before the commit': ({ actions }, step) =>
    actions.some((action) => action.type === 'commit' && action.step === step),
  'after the commit': ({ version }, step) => version > step,
  'during the evaluation': ({ event }, step) => event.type === 'evaluated' && event.version === step,
  'when all slices are written': ({ actions }, step) =>
    actions.some((action) => action.type === 'publish' && action.progress.version === step),
  'when the checkpoint is written': ({ event }, step) =>
    event.type === 'checkpointEnded' && event.version === step,
} satisfies Record<string, (seen: CoordinatorSeen, step: number) => boolean>;

/** From `step` on: who gets which lease of a step is a matter of speed. */
const workerPoints = {
  'when it gets a lease': ({ event }, step) => event.type === 'lease' && event.task.version >= step,
  'when it has computed': ({ event, actions }, step) =>
    event.type === 'computed' &&
    actions.some((action) => action.type === 'tell' && action.task.version >= step),
  'while it sends': ({ actions }, step) =>
    actions.some((action) => action.type === 'sendChunk' && action.node.step >= step),
} satisfies Record<string, (seen: Seen<WorkerEvent, WorkerAction>, step: number) => boolean>;

/** Which file is opened how, also under a name it has until it is whole. */
const filePoints = {
  'when it starts': { file: 'run.json', flags: 'wx' },
  'before slices are written': { file: 'model.safetensors', flags: 'wx' },
  'while slices are written': { file: 'optimizer.safetensors', flags: 'r+' }, // the reducer's part of the model is
  'before the manifest': { file: 'manifest.json', flags: 'wx' },
};

export type CoordinatorPoint = keyof typeof coordinatorPoints | keyof typeof filePoints;
export type WorkerPoint = keyof typeof workerPoints;

export interface Failpoint {
  readonly point: CoordinatorPoint | WorkerPoint;
  readonly step: number;
  readonly signal: 'SIGKILL' | 'SIGSTOP' | 'SIGINT' | 'SIGTERM';
}

/** Where coordinators can be killed, in the order in which a step and its checkpoint pass them. */
export const pointsOfStep = Object.keys(coordinatorPoints).slice(0, 5) as CoordinatorPoint[];
export const pointsOfCheckpoint = [
  'before slices are written',
  'while slices are written',
  'when all slices are written',
  'before the manifest',
  'when the checkpoint is written',
] as CoordinatorPoint[];

const VARIABLE = 'LOCKSTEP_TEST_FAILPOINT';

/** The environment that gives a process a failpoint. Children inherit it, and pass points that are not theirs. */
export function failpointEnvironment(failpoint: Failpoint): NodeJS.ProcessEnv {
  return { NODE_OPTIONS: `--import=${import.meta.url}`, [VARIABLE]: JSON.stringify(failpoint) };
}

let hasFired = false;

/** Once: a process that goes on after its signal passes the same point again. */
function fire({ signal }: Failpoint): void {
  if (hasFired) return;
  hasFired = true;
  process.kill(process.pid, signal);
}

/** Lets `look` see every event that a class of state machines handles, and what is decided on it. */
function watch<Machine extends { handle(event: Event, now: number): Action[] }, Event, Action>(
  prototype: Machine,
  look: (machine: Machine, handle: () => Action[], event: Event) => Action[],
): void {
  const { handle } = prototype as { handle: (this: Machine, event: Event, now: number) => Action[] };
  prototype.handle = function (this: Machine, event, now) {
    return look(this, () => handle.call(this, event, now), event);
  };
}

async function arm(failpoint: Failpoint): Promise<void> {
  const { point, step } = failpoint;
  const command = process.argv[2];
  if (point in filePoints) armFiles(failpoint, filePoints[point as keyof typeof filePoints]);
  else if (point in coordinatorPoints && isMainThread && command !== 'worker') {
    const isReached = coordinatorPoints[point as keyof typeof coordinatorPoints];
    const { Coordinator } = await import('../../src/coordinator/coordinator.js');
    watch<Coordinator, CoordinatorEvent, CoordinatorAction>(
      Coordinator.prototype,
      (machine, handle, event) => {
        const { version } = machine.state.progress;
        const actions = handle();
        if (isReached({ event, actions, version }, step)) fire(failpoint);
        return actions;
      },
    );
  } else if (point in workerPoints && isMainThread && command === 'worker') {
    const isReached = workerPoints[point as WorkerPoint];
    const { WorkerMachine } = await import('../../src/worker/worker.js');
    watch<WorkerMachine, WorkerEvent, WorkerAction>(WorkerMachine.prototype, (_machine, handle, event) => {
      const actions = handle();
      if (isReached({ event, actions }, step)) fire(failpoint);
      return actions;
    });
  }
}

function armFiles(failpoint: Failpoint, { file, flags }: { file: string; flags: string }): void {
  const { open } = fs;
  fs.open = (target, mode, ...rest) => {
    if (mode === flags && isPlace(String(target), failpoint.step, file)) fire(failpoint);
    return open(target, mode, ...rest);
  };
  syncBuiltinESMExports();
}

/** The run's own file, or one in step-N of the checkpoints. */
function isPlace(target: string, step: number, file: string): boolean {
  return target.includes(file === 'run.json' ? `/${file}` : `/step-${step}/${file}`);
}

const given = process.env[VARIABLE];
if (given !== undefined) await arm(JSON.parse(given) as Failpoint);
