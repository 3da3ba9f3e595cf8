// One event of every kind, for the metrics tests.

import type {
  Evaluated,
  ReducerUsage,
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
    microBatches: 5,
    sentBytes: 400,
    receivedBytes: 500,
    residentBytes: 6000,
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
  stepsLost: 3,
  steps: 100,
  microBatches: 4,
  checkpointEvery: 10,
  evaluateEvery: 20,
  clipNorm: null,
  reducers: 1,
  objective: 'masked',
  precision: 'float32',
  wire: 'float32',
  configHash: '0123456789ab',
  parameters: 1_000_000,
  unigramLoss: 6,
};

const usage: ReducerUsage = {
  gradientBytes: 1000,
  parameterBytes: 3000,
  reduceSeconds: 0.25,
  updateSeconds: 0.5,
  rejected: { checksum: 2, malformed: 1, stale: 0 },
  usedBufferBytes: 64,
  freeBufferBytes: 32,
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
  { kind: 'workerStates', counts: { ready: 2, joining: 1 } },
  { kind: 'results', counts: { first: 3, late: 1 } },
  { kind: 'messageRejected', fault: 'malformed' },
  { kind: 'reducerUsage', reducer: 0, usage },
  { kind: 'phase', phase: 'compute', seconds: 0.75 },
  { kind: 'bytes', direction: 'gradients_out', bytes: 2000 },
  { kind: 'checkpointStarted', step: 2 },
  { kind: 'checkpointWritten', step: 2, directory: 'runs/a/checkpoints/step-2', seconds: 4, bytes: 12345 },
  { kind: 'checkpointStarted', step: 3 },
  { kind: 'checkpointFailed', step: 3, reason: 'no space left' },
  { kind: 'checkpointStarted', step: 4 },
  { kind: 'lastPredictionsAwaited', mostSeconds: 10 },
  {
    kind: 'predicted',
    version: 4,
    predictions: [{ source: 'ä <mask>', prediction: 'ä *b*', target: 'ä b' }],
  },
  { kind: 'heartbeat', seconds: 0.002 },
  { kind: 'computed', microBatches: 4, tokens: 80 },
  { kind: 'parametersPulled', version: 7 },
  { kind: 'stopping' },
  { kind: 'runEnded', reason: 'completed', detail: '' },
];
