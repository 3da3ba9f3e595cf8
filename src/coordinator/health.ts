// Whether a run makes progress: what /readyz says.
import type { TrainingEvent } from '../metrics/events.js';
import type { Health } from '../metrics/http.js';

/** A run is stuck when nothing happened for this many times its last step, at least MIN_SECONDS. */
const STEPS_WITHOUT_PROGRESS = 10;
const MIN_SECONDS = 60;

export interface ProgressHealth {
  readonly alive: Health;
  readonly ready: Health;
  readonly on: (event: TrainingEvent) => void;
}

export function progressHealth(now: () => number = () => performance.now() / 1000): ProgressHealth {
  let workers = 0;
  let lastStepSeconds = 0;
  let lastProgressAt = now();
  let isCompleted = false;
  return {
    alive: () => null,
    ready: () => {
      if (isCompleted) return null;
      if (workers === 0) return 'no worker is here';
      const seconds = now() - lastProgressAt;
      const limit = Math.max(MIN_SECONDS, STEPS_WITHOUT_PROGRESS * lastStepSeconds);
      return seconds > limit ? `no progress for ${Math.round(seconds)} seconds` : null;
    },
    on: (event) => {
      if (event.kind === 'runEnded') isCompleted = event.reason === 'completed';
      if (event.kind === 'workerStates') workers = event.counts.ready ?? 0;
      if (event.kind === 'stepCommitted' || event.kind === 'stepSkipped') lastStepSeconds = event.seconds;
      if (['stepCommitted', 'stepSkipped', 'evaluated', 'leaseEnded', 'workerJoined'].includes(event.kind)) {
        lastProgressAt = now();
      }
    },
  };
}
