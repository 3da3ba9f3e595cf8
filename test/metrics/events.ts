// One event of every kind, for the metrics tests.

import type {
  Evaluated,
  RunStarted,
  StepCommitted,
  StepSkipped,
  TrainingEvent,
  WorkerStatus,
} from '../../src/metrics/events.js';

export function committed(step: number): StepCommitted {
  return {
    kind: 'stepCommitted',
    step,
    version: step + 1,
    loss: 2.5,
    tokens: 100,
    correct: 25,
    sourceTokens: 300,
    learningRate: 0.001,
    gradientNorm: 1.5,
    clipped: true,
    seconds: 0.2,
  };
}

export function skipped(step: number): StepSkipped {
  return { kind: 'stepSkipped', step, version: step + 1, reason: 'no_tokens', seconds: 0.1 };
}

export function evaluated(version: number): Evaluated {
  return { kind: 'evaluated', version, loss: 3, accuracy: 0.5, tokens: 50, seconds: 1 };
}

export function workerStatus(changes: Partial<WorkerStatus>): WorkerStatus {
  return {
    session: 'session-1',
    name: 'worker-1',
    host: 'here',
    state: 'ready',
    phase: 'compute',
    phaseSeconds: { compute: 6, push: 1, pull: 2, idle: 1 },
    leases: [{ start: 0, end: 2, seconds: 0.5 }],
    microBatchesPerSecond: 4,
    silentSeconds: 0.2,
    ...changes,
  };
}

export const runStarted: RunStarted = {
  kind: 'runStarted',
  run: 'books',
  runId: '00000000-0000-4000-8000-000000000000',
  term: 1,
  version: 0,
  steps: 100,
  microBatches: 4,
  objective: 'masked',
  parameters: 1_000_000,
  unigramLoss: 6,
};

export const everyKind: readonly TrainingEvent[] = [
  runStarted,
  committed(0),
  skipped(1),
  evaluated(2),
  { kind: 'leaseEnded', worker: 'worker-1', outcome: 'covered', seconds: 0.3 },
  { kind: 'leaseEnded', worker: 'worker-1', outcome: 'lost', seconds: 9 },
  { kind: 'workerJoined', worker: 'worker-1', host: 'here' },
  { kind: 'foreignWorker', worker: 'worker-2', host: 'there' },
  { kind: 'workerLeft', worker: 'worker-1', host: 'here', reason: 'silent', detail: 'silent for 5000 ms' },
  { kind: 'workers', workers: [workerStatus({})] },
  { kind: 'workerStates', counts: { computing: 2, idle: 1 } },
  { kind: 'phase', phase: 'reduce', seconds: 0.25 },
  { kind: 'phase', phase: 'compute', seconds: 0.75 },
  { kind: 'bytes', direction: 'gradients_in', bytes: 1000 },
  { kind: 'bytes', direction: 'gradients_out', bytes: 2000 },
  { kind: 'checkpointStarted', step: 2 },
  { kind: 'checkpointWritten', step: 2, seconds: 4, bytes: 12345 },
  { kind: 'checkpointStarted', step: 3 },
  { kind: 'checkpointFailed', step: 3, reason: 'no space left' },
  { kind: 'checkpointStarted', step: 4 },
  { kind: 'heartbeat', seconds: 0.002 },
  { kind: 'computed', microBatches: 4, tokens: 80 },
  { kind: 'parametersPulled', version: 7 },
  { kind: 'runEnded', reason: 'completed', detail: '' },
];
