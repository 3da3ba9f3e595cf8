// One event of every kind, for the metrics tests.

import type { Evaluated, StepCommitted, StepSkipped, TrainingEvent } from '../../src/metrics/events.js';

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

export const everyKind: readonly TrainingEvent[] = [
  committed(0),
  skipped(1),
  evaluated(2),
  { kind: 'leaseEnded', outcome: 'covered', seconds: 0.3 },
  { kind: 'leaseEnded', outcome: 'lost', seconds: 9 },
  { kind: 'workerJoined' },
  { kind: 'foreignWorker' },
  { kind: 'workerLeft', reason: 'silent' },
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
];
