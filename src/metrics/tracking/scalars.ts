// What experiment trackers are told of a run: named numbers at a version of the parameters.

import type { TrainingEvent } from '../events.js';

export interface Scalars {
  /** Steps completed. */
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
}

/** null for an event that no tracker is told of. Numbers that are not finite are left out. */
export function scalarsOf(event: TrainingEvent): Scalars | null {
  switch (event.kind) {
    case 'stepCommitted':
      return finite(event.version, {
        'train/loss': event.loss,
        'train/accuracy': event.tokens > 0 ? event.correct / event.tokens : NaN,
        'train/learning_rate': event.learningRate,
        'train/gradient_norm': event.gradientNorm,
        'speed/step_seconds': event.seconds,
        'speed/tokens_per_second':
          event.seconds > 0 ? (event.tokens + event.sourceTokens) / event.seconds : NaN,
      });
    case 'evaluated':
      return finite(event.version, { 'validation/loss': event.loss, 'validation/accuracy': event.accuracy });
    case 'checkpointWritten':
      return finite(event.step, { 'checkpoint/seconds': event.seconds, 'checkpoint/bytes': event.bytes });
    default:
      return null;
  }
}

function finite(step: number, values: Record<string, number>): Scalars {
  return {
    step,
    values: Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value))),
  };
}
